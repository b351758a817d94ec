// The settings in which two runs differ, or a run and the defaults.
const DEFAULTS = "the defaults";

(function differences() {
  const section = document.getElementById("differences");
  if (!DATA.configs.length) return;
  section.hidden = false;
  const [note, controls, frame] = section.querySelectorAll(".quiet, .controls, .wide");
  note.append(" The defaults are those of the version that made this page, of a command without overrides.");
  const names = DATA.configs.map(({ run }, place) => [place, run]);
  const differ = (one, other) => Object.keys({ ...one, ...other }).filter((key) => one[key] !== other[key]);
  const [first, ...rest] = DATA.configs.map(({ settings }) => settings);
  const [left, leftLabel] = selection("first", [[DEFAULTS, DEFAULTS], ...names], rest.length ? 0 : DEFAULTS, draw);
  const other = Math.max(0, rest.findIndex((own) => differ(first, own).length)) + 1;
  const [right, rightLabel] = selection("second", names, rest.length ? other : 0, draw);
  controls.append(leftLabel, rightLabel);

  function draw() {
    const [one, other] = [left, right].map(({ value }) => (value === DEFAULTS ? { run: DEFAULTS, settings: DATA.defaults } : DATA.configs[Number(value)]));
    const differing = differ(one.settings, other.settings);
    const cell = (text) => make("td", { className: "words long" }, text ?? MISSING);
    const rows = differing.map((key) => make("tr", {}, make("td", { className: "words" }, key), cell(one.settings[key]), cell(other.settings[key])));
    const heads = ["setting", one.run, other.run].map((text) => make("th", { scope: "col", className: "words long" }, text));
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    frame.replaceChildren(differing.length ? table : make("p", {}, "The same settings."));
  }

  draw();
})();
