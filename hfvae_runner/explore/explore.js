// Moves the latent variables of a run and decodes in the page. All text from the run goes through textContent.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [channels, height, width] = data.image;
  const pixels = height * width;
  const { variables, examples, presets } = data;
  const isDiscrete = (variable) => variable.codes !== undefined;
  const at = (id) => document.getElementById(id);

  const decode = data.decoder && decoderOf(data.decoder, at("weights").textContent);

  function codeOf(values) {
    const code = new Float32Array(data.size);
    variables.forEach((variable, v) => {
      const own = variable.uniform ? uniformOf(values[v]) : values[v];
      code.set(isDiscrete(variable) ? variable.codes[values[v]] : [own], variable.column);
    });
    return code;
  }

  /** The image of the variables' values, [C * H * W] numbers from 0 to 1. */
  const computed = (values) => decode(codeOf(values), channels * pixels);

  // Pictures

  async function sheetOf({ sheet, across }) {
    const image = new Image();
    image.src = `data:image/png;base64,${sheet}`;
    await image.decode();
    return { image, across };
  }

  function show(canvas, draw) {
    canvas.width = width;
    canvas.height = height;
    draw(canvas.getContext("2d"));
  }

  const fromSheet = ({ image, across }, place) => (context) =>
    context.drawImage(image, (place % across) * width, Math.floor(place / across) * height, width, height, 0, 0, width, height);

  const fromValues = (values) => (context) => {
    const image = context.createImageData(width, height);
    for (let p = 0; p < pixels; p += 1) {
      for (let c = 0; c < 3; c += 1) {
        const channel = channels >= 3 ? c : 0;
        image.data[4 * p + c] = Math.round(255 * Math.min(1, Math.max(0, values[channel * pixels + p])));
      }
      image.data[4 * p + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };

  // Without a decoder, a picture is one of those that were computed for the example, where one variable is moved.
  const STEPS = 11;
  const stepsOf = (variable) => (isDiscrete(variable) ? variable.codes.length : STEPS);
  const valueAt = (variable, step) =>
    isDiscrete(variable) ? step : variable.low + ((variable.high - variable.low) * step) / (STEPS - 1);

  function precomputed(values) {
    const own = examples.codes[state.example];
    const moved = values.findIndex((value, v) => value !== own[v]);
    if (moved < 0) return 0;
    const before = variables.slice(0, moved).reduce((sum, variable) => sum + stepsOf(variable), 1);
    const variable = variables[moved];
    if (isDiscrete(variable)) return before + values[moved];
    const share = (values[moved] - variable.low) / (variable.high - variable.low);
    return before + Math.min(STEPS - 1, Math.max(0, Math.round(share * (STEPS - 1))));
  }

  const pictureOf = (values) =>
    decode ? fromValues(computed(values)) : fromSheet(decodedSheets[presets.indexOf(state.example)], precomputed(values));

  // Elements

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  const pictureButton = (draw, label, small) => {
    const canvas = element("canvas");
    show(canvas, draw);
    const button = element("button", { type: "button" }, canvas);
    if (small !== undefined) button.append(element("small", { textContent: small }));
    button.setAttribute("aria-label", label);
    return button;
  };

  const shown = (value) => (Number.isInteger(value) ? String(value) : (Math.abs(value) < 0.005 ? 0 : value).toFixed(2));

  function markText(mark, example) {
    const value = mark.values[example];
    return mark.names[value] === undefined ? String(value) : mark.names[value];
  }

  const aboutExample = (example) =>
    [`test image ${examples.numbers[example]}`, ...examples.marks.map((mark) => `${mark.name}: ${markText(mark, example)}`)].join("\n");

  // State: the example that was started from, and each variable's value.

  const state = { example: presets[0], values: [...examples.codes[presets[0]]] };
  let exampleSheet;
  let decodedSheets = [];
  const inputs = [];

  function start(example) {
    state.example = example;
    state.values = [...examples.codes[example]];
    show(at("original"), fromSheet(exampleSheet, example));
    show(at("reconstruction"), pictureOf(state.values));
    at("about").textContent = aboutExample(example);
    for (const button of at("presets").children) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.example) === example));
    }
    update();
  }

  function set(v, value) {
    if (!decode) state.values = [...examples.codes[state.example]];
    state.values[v] = value;
    update();
  }

  let waiting = 0;
  function update() {
    inputs.forEach((input, v) => input(state.values[v]));
    show(at("decoded"), pictureOf(state.values));
    // The traversal follows when the hand rests: it takes many decodings.
    clearTimeout(waiting);
    waiting = setTimeout(traverse, 120);
  }

  function slider(variable, v) {
    const input = element("input", { type: "range", min: variable.low, max: variable.high, step: "any" });
    input.setAttribute("aria-label", variable.name);
    const output = element("output");
    input.addEventListener("input", () => set(v, Number(input.value)));
    inputs[v] = (value) => {
      input.value = value;
      output.textContent = shown(value);
    };
    const name = element("span", { className: "name", textContent: variable.name, title: `variance of its mean: ${variable.variance}` });
    return element("div", { className: "variable" }, name, input, output);
  }

  function choice(variable, v) {
    const radios = variable.codes.map((_, category) => {
      const input = element("input", { type: "radio", name: `variable-${v}`, value: category });
      input.addEventListener("change", () => set(v, category));
      return input;
    });
    inputs[v] = (value) => radios.forEach((radio, category) => (radio.checked = category === value));
    const labels = radios.map((radio, category) => element("label", {}, radio, element("span", { textContent: String(category) })));
    return element("fieldset", {}, element("legend", { textContent: variable.name }), element("div", { className: "choices" }, ...labels));
  }

  // Discrete variables first, then the continuous ones by how much their mean varies.
  const order = variables
    .map((_, v) => v)
    .sort((a, b) => isDiscrete(variables[b]) - isDiscrete(variables[a]) || (variables[b].variance ?? 0) - (variables[a].variance ?? 0));

  function fill(select, names, chosen) {
    names.forEach((name, place) => select.append(element("option", { value: place, textContent: name })));
    select.value = chosen;
  }

  function traverse() {
    const v = Number(at("traversed").value);
    const variable = variables[v];
    const buttons = Array.from({ length: stepsOf(variable) }, (_, step) => {
      const values = decode ? [...state.values] : [...examples.codes[state.example]];
      values[v] = valueAt(variable, step);
      const text = shown(values[v]);
      const button = pictureButton(pictureOf(values), `${variable.name} = ${text}`, text);
      button.addEventListener("click", () => set(v, values[v]));
      return button;
    });
    at("traversal").replaceChildren(...buttons);
  }

  // The map

  const CLASSES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7f6fbf", "#8c564b", "#7f7f7f"];
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

  function ramp(share) {
    const place = Math.min(RAMP.length - 1.001, Math.max(0, share * (RAMP.length - 1)));
    const low = Math.floor(place);
    const mixed = RAMP[low].map((value, c) => Math.round(value + (place - low) * (RAMP[low + 1][c] - value)));
    return `rgb(${mixed.join(",")})`;
  }

  function coloursOf(mark) {
    const kinds = [...new Set(mark.values)].sort((a, b) => a - b);
    const few = kinds.length <= CLASSES.length;
    const colour = (value) => few ? CLASSES[kinds.indexOf(value)] : ramp((value - kinds[0]) / (kinds.at(-1) - kinds[0]));
    return { colour, listed: few ? kinds : [kinds[0], kinds[Math.floor(kinds.length / 2)], kinds.at(-1)] };
  }

  // Points of the same categories would lie on top of each other. They are spread out, evenly and always in the same way,
  // by a sequence of its own for each axis.
  const SEQUENCES = [0.7548776662, 0.569840291];
  const spread = (example, v, axis) => (isDiscrete(variables[v]) ? ((example * SEQUENCES[axis]) % 1) * 0.6 - 0.3 : 0);
  const map = { points: [], focus: -1 };

  function drawMap() {
    const canvas = at("map");
    const ratio = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    const axes = [Number(at("across").value), Number(at("up").value)];
    const found = examples.codes.map((values, example) => axes.map((v, axis) => values[v] + spread(example, v, axis)));
    const ends = [0, 1].map((axis) => found.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]));
    const margin = 18 * ratio;
    const place = (value, [low, high], size) => margin + ((size - 2 * margin) * (value - low)) / (high - low || 1);
    map.points = found.map(([x, y]) => [place(x, ends[0], canvas.width), canvas.height - place(y, ends[1], canvas.height)]);
    const context = canvas.getContext("2d");
    const mark = examples.marks[Number(at("colour").value)];
    const { colour, listed } = mark ? coloursOf(mark) : { colour: () => CLASSES[0], listed: [] };
    context.globalAlpha = 0.75;
    map.points.forEach(([x, y], example) => {
      context.fillStyle = mark ? colour(mark.values[example]) : colour();
      context.beginPath();
      context.arc(x, y, 3.5 * ratio, 0, 2 * Math.PI);
      context.fill();
    });
    context.globalAlpha = 1;
    if (map.focus >= 0) {
      const [x, y] = map.points[map.focus];
      context.strokeStyle = getComputedStyle(canvas).color;
      context.lineWidth = 2 * ratio;
      context.beginPath();
      context.arc(x, y, 7 * ratio, 0, 2 * Math.PI);
      context.stroke();
    }
    at("legend").replaceChildren(...listed.map((value) => {
      const swatch = element("canvas", { width: 1, height: 1 });
      const paint = swatch.getContext("2d");
      paint.fillStyle = colour(value);
      paint.fillRect(0, 0, 1, 1);
      const text = mark.names[value] === undefined ? String(value) : mark.names[value];
      return element("li", {}, swatch, element("span", { textContent: text }));
    }));
  }

  function focusPoint(example) {
    if (example < 0 || example === map.focus) return;
    map.focus = example;
    show(at("seen"), fromSheet(exampleSheet, example));
    at("seen-about").textContent = aboutExample(example);
    drawMap();
  }

  function nearest(event) {
    const canvas = at("map");
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    const x = (event.clientX - box.left) * ratio;
    const y = (event.clientY - box.top) * ratio;
    let best = -1;
    let least = (24 * ratio) ** 2;
    map.points.forEach(([px, py], example) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [example, distance];
    });
    return best;
  }

  const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /** The closest point in a direction, within 60 degrees of it. */
  function neighbour([dx, dy]) {
    const [x, y] = map.points[Math.max(0, map.focus)];
    let best = map.focus;
    let least = Infinity;
    map.points.forEach(([px, py], example) => {
      const along = (px - x) * dx + (py - y) * dy;
      const distance = Math.hypot(px - x, py - y);
      if (example !== map.focus && along > 0.5 * distance && distance < least) [best, least] = [example, distance];
    });
    return best;
  }

  const startable = (example) => example >= 0 && (decode || presets.includes(example));

  function listenToMap() {
    const canvas = at("map");
    canvas.addEventListener("pointermove", (event) => focusPoint(nearest(event)));
    canvas.addEventListener("click", (event) => {
      const example = nearest(event);
      focusPoint(example);
      if (startable(example)) start(example);
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.key in DIRECTIONS) focusPoint(map.focus < 0 ? state.example : neighbour(DIRECTIONS[event.key]));
      else if (event.key === "Enter" && startable(map.focus)) start(map.focus);
      else return;
      event.preventDefault();
    });
    for (const id of ["across", "up", "colour"]) at(id).addEventListener("change", drawMap);
    window.addEventListener("resize", drawMap);
  }

  function normal() {
    return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }

  function listenToActions() {
    const middle = (variable) => (variable.low + variable.high) / 2;
    at("reset").addEventListener("click", () => start(state.example));
    at("centre").addEventListener("click", () => {
      state.values = variables.map((variable, v) => (isDiscrete(variable) ? state.values[v] : middle(variable)));
      update();
    });
    at("random").addEventListener("click", () => {
      state.values = variables.map((variable) =>
        isDiscrete(variable)
          ? Math.floor(Math.random() * variable.codes.length)
          : middle(variable) + ((variable.high - variable.low) / 6) * normal());
      update();
    });
    // Both need codes that are no example's.
    at("centre").hidden = at("random").hidden = !decode;
  }

  async function main() {
    exampleSheet = await sheetOf(examples);
    if (data.decoded) decodedSheets = await Promise.all(data.decoded.map(sheetOf));
    at("variables").append(...order.map((v) => (isDiscrete(variables[v]) ? choice : slider)(variables[v], v)));
    at("presets").append(...presets.map((example) => {
      const about = aboutExample(example);
      const button = pictureButton(fromSheet(exampleSheet, example), about, examples.marks[0] && markText(examples.marks[0], example));
      button.dataset.example = example;
      button.addEventListener("click", () => start(example));
      return button;
    }));
    const names = variables.map((variable) => variable.name);
    const continuous = order.filter((v) => !isDiscrete(variables[v]));
    const [first, second] = [...continuous, ...order.filter((v) => isDiscrete(variables[v]))];
    fill(at("traversed"), names, first);
    fill(at("across"), names, first);
    fill(at("up"), names, second ?? first);
    fill(at("colour"), examples.marks.map((mark) => mark.name), 0);
    at("colour").parentElement.hidden = examples.marks.length === 0;
    at("traversed").addEventListener("change", traverse);
    listenToActions();
    listenToMap();
    start(presets[0]);
    focusPoint(presets[0]);
    document.body.dataset.ready = "true";
  }

  // For whoever checks that the page computes what the model computes.
  window.decoded = (values) => Array.from(computed(values));
  main();
})();
