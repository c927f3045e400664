"""The figures as one page that needs nothing else: a card with bars for each, the aims, how it was measured and on what."""

import html
import string

WIDTH, NAMES, PLOT = 640, 128, 372  # of a chart: all of it, the names' column, the bars'
ROW, BAR = 28, 14
LABEL = 16  # the height of an aim's label above the bars

PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tlsagent beside its peers</title>
<style>
:root {
  color-scheme: light dark;
  --page: #f6f5f1; --card: #ffffff; --ink: #1b1b19; --quiet: #6b6a64; --line: #e2e0d8;
  --ours: #2a6fd0; --peer: #b9b6ac; --best: #8b887d; --bare: #ffffff; --bare-edge: #6b6a64;
  --met: #18794e; --met-back: #e3f3ea; --unmet: #a8400b; --unmet-back: #fbeae0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16171a; --card: #1f2125; --ink: #ececea; --quiet: #9b9a94; --line: #33353b;
    --ours: #5b9bf0; --peer: #575a62; --best: #858993; --bare: #1f2125; --bare-edge: #9b9a94;
    --met: #6fd3a0; --met-back: #17352680; --unmet: #f5a173; --unmet-back: #42230f80;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1360px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 44px 0 12px; font-size: 19px; }
h3 { margin: 0; font-size: 15.5px; }
p { max-width: 80ch; }
.lead, .about, .quiet { color: var(--quiet); }
.lead { margin: 8px 0 0; }
.about { margin: 2px 0 10px; font-size: 13px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 24px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 18px; min-width: 150px; }
.tile b { display: block; font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { font-size: 13px; color: var(--quiet); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 0 0 14px; font-size: 13px; color: var(--quiet); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px 14px; }
.card svg { display: block; width: 100%; height: auto; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .value { font-variant-numeric: tabular-nums; }
svg .faint, svg tspan.faint { fill: var(--quiet); }
svg .small { font-size: 11px; fill: var(--quiet); }
.aims { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 10px; padding: 0; list-style: none; font-size: 12.5px; }
.aims li { border-radius: 999px; padding: 2px 10px; }
.met { color: var(--met); background: var(--met-back); }
.unmet { color: var(--unmet); background: var(--unmet-back); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--card); border: 1px solid var(--line); font-size: 13.5px; }
th, td { padding: 6px 12px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
tr:last-child td { border-bottom: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 12.5px ui-monospace, monospace; }
</style>
</head>
<body><main>
<h1>tlsagent beside its peers</h1>
<p class="lead">What TLS before a plaintext service costs, and how long it takes. $when, $rounds rounds.</p>
<div class="tiles">$tiles</div>
<h2>Figures</h2>
<div class="legend">$legend</div>
<div class="cards">$cards</div>
<h2>Ratios</h2>
<p class="quiet">Each to the best of the peers and, where there is one, to OpenSSL in process: medians of the ratios of each
round.</p>
<div class="scroll"><table>$table</table></div>
<h2>How it was measured</h2>
$method
<h2>On what</h2>
<dl>$machine</dl>
$notes
</main></body>
</html>
""")

LEGEND = (("var(--ours)", "", "tlsagent"), ("var(--best)", "", "the best peer"), ("var(--peer)", "", "peers"),
          ("var(--bare)", "box-shadow: inset 0 0 0 1.5px var(--bare-edge);", "OpenSSL in process, which has no sockets"))


# What else than the aims is shown above all: of which figure, and how it is called there.
TILES = (("ecdsa", "CPU µs per full handshake"), ("down", "CPU s per GiB down"), ("idle", "KiB per idle connection"))


def _text(value):
    return html.escape(str(value))


def _number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def _bound(aim):
    sign = "≥" if aim["at_least"] else "≤"
    return f"{sign} {aim['bound']:g}" + ("" if aim["against"] == "value" else f" × {aim['against']}")


# --- Charts ------------------------------------------------------------------------------------------------------------

def _aim_lines(figure):
    """[(where on the scale, what it says)], each bound once."""
    medians = {name: row["median"] for name, row in figure["servers"].items()}
    base = {"value": 1, "best peer": medians.get(figure["best_peer"]), "in process": medians.get("in process")}
    found = {}
    for aim in figure["aims"]:
        if base[aim["against"]]:
            found[_bound(aim)] = aim["bound"] * base[aim["against"]]
    return [(value, text) for text, value in found.items()]


def _look(figure, name, kind):
    if kind == "in process":
        return 'fill="var(--bare)" stroke="var(--bare-edge)" stroke-width="1.5"'
    if kind == "ours":
        return 'fill="var(--ours)"'
    return 'fill="var(--best)"' if name == figure["best_peer"] else 'fill="var(--peer)"'


def _bar(figure, name, kind, row, y, scale):
    middle = y + ROW / 2
    short = name if len(name) < 19 else name[:17] + "…"
    weight = 600 if kind == "ours" else 400
    label = f'<text x="{NAMES - 10}" y="{middle + 4.5}" text-anchor="end" font-weight="{weight}">{_text(short)}</text>'
    if row["median"] is None:
        return label + f'<text class="faint" x="{NAMES + 2}" y="{middle + 4.5}">failed</text>'
    digits = figure["digits"]
    values = ", ".join(_number(value, digits) for value in row["values"])
    least, most = (min(row[key] * scale, PLOT) for key in ("min", "max"))
    width = max(row["median"] * scale, 2)
    ratio = "" if row["to_best_peer"] is None else f' <tspan class="faint">{row["to_best_peer"]:.2f}×</tspan>'
    text_x = NAMES + max(width, most) + 9
    return (f"<g><title>{_text(name)}: {_number(row['median'], digits)} {_text(figure['unit'])}, "
            f"{_number(row['min'], digits)} to {_number(row['max'], digits)}\nrounds: {values}</title>"
            f'<rect x="0" y="{y}" width="{WIDTH}" height="{ROW}" fill="transparent"/>{label}'
            f'<rect x="{NAMES}" y="{middle - BAR / 2}" width="{width:.1f}" height="{BAR}" rx="3" '
            f'{_look(figure, name, kind)}/>'
            f'<path d="M{NAMES + least:.1f} {middle}H{NAMES + most:.1f}m0 -3.5v7M{NAMES + least:.1f} {middle - 3.5}v7" '
            f'stroke="var(--ink)" stroke-opacity="0.55" fill="none"/>'
            f'<text class="value" x="{text_x:.1f}" y="{middle + 4.5}">{_number(row["median"], digits)}{ratio}</text></g>')


def _chart(figure, kinds):
    rows = figure["servers"]
    aims = sorted(_aim_lines(figure))
    shown = [row["median"] for row in rows.values() if row["median"] is not None] + [value for value, _ in aims]
    scale = PLOT / (max(shown, default=1) * 1.12)
    top = LABEL * len(aims) + 4
    height = top + ROW * len(rows) + 4
    parts = [f'<path d="M{NAMES} {top}V{height - 4}" stroke="var(--line)"/>']
    for index, (value, text) in enumerate(aims):
        x, y = NAMES + value * scale, LABEL * (index + 1) - 4
        parts.append(f'<path d="M{x:.1f} {y + 3}V{height - 4}" stroke="var(--unmet)" stroke-dasharray="3 3" fill="none"/>'
                     f'<text class="small" x="{x:.1f}" y="{y}" text-anchor="middle">aim {_text(text)}</text>')
    for index, (name, row) in enumerate(rows.items()):
        parts.append(_bar(figure, name, kinds[name], row, top + ROW * index, scale))
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_text(figure["title"])}">{"".join(parts)}</svg>'


def _aims(figure):
    return "".join(f'<li class="{"met" if aim["met"] else "unmet"}">{"✓ met" if aim["met"] else "✗ NOT met"}: '
                   f'{_text(aim["server"])} {aim["value"]:.2f}, aim {_text(_bound(aim))}</li>' for aim in figure["aims"])


def _card(figure, kinds):
    better = "more is better" if figure["more_is_better"] else "less is better"
    return (f'<section class="card"><h3>{_text(figure["title"])}</h3>'
            f'<p class="about">{_text(figure["unit"])}, {better}: {_text(figure["about"])}</p>'
            f'{_chart(figure, kinds)}<ul class="aims">{_aims(figure)}</ul></section>')


# --- Text --------------------------------------------------------------------------------------------------------------

def _tiles(told):
    aims = [aim for figure in told["figures"] for aim in figure["aims"]]
    tiles = [(f"{sum(aim['met'] for aim in aims)} of {len(aims)}", "aims met")]
    for name, what in TILES:
        figure = next((figure for figure in told["figures"] if figure["name"] == name), None)
        ours = figure and figure["servers"].get("tlsagent")
        if ours and ours["median"] is not None:
            tiles.append((_number(ours["median"], figure["digits"]), what))
    return "".join(f'<div class="tile"><b>{_text(value)}</b><span>{_text(what)}</span></div>' for value, what in tiles)


def _table(told):
    names = [server["name"] for server in told["servers"]]
    lines = ["<tr><th>Ratio</th>" + "".join(f"<th>{_text(name)}</th>" for name in names) + "</tr>"]
    for figure in told["figures"]:
        rows = [figure["servers"].get(name, {}) for name in names]
        for key, what in (("to_best_peer", figure["best_peer"]), ("to_in_process", "in process")):
            if any(row.get(key) is not None for row in rows):
                cells = "".join(f"<td>{_number(row.get(key), 2)}</td>" for row in rows)
                lines.append(f"<tr><td>{_text(figure['title'])} / {_text(what)}</td>{cells}</tr>")
    return "".join(lines)


def _notes(told):
    if not told["notes"]:
        return ""
    return "<h2>What failed</h2><ul>" + "".join(f"<li>{_text(note)}</li>" for note in told["notes"]) + "</ul>"


def render(told, method, others):
    """method is paragraphs of text, others one about who else used the machine."""
    kinds = {server["name"]: server["kind"] for server in told["servers"]}
    machine = told["machine"]
    facts = [("Processor", f"{machine['cpu']}, {machine['cpus']} cpus; servers on cpu {machine['server_cpu']}, "
              f"load and back ends on cpu {machine['load_cpu']}"), ("Linux", machine["kernel"]), ("Others", others)]
    facts += [(server["name"], server["version"]) for server in told["servers"]]
    return PAGE.substitute(
        when=_text(told["when"]), rounds=told["rounds"], tiles=_tiles(told),
        legend="".join(f'<span><i style="background: {color}; {more}"></i>{_text(what)}</span>'
                       for color, more, what in LEGEND),
        cards="".join(_card(figure, kinds) for figure in told["figures"]), table=_table(told),
        method="".join(f"<p>{_text(paragraph)}</p>" for paragraph in method),
        machine="".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in facts), notes=_notes(told))
