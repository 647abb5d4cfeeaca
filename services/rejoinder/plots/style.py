"""The page's style sheet. Series colours are Okabe and Ito's, darker on white and lighter on black; every series also
has its own mark or label, so that colour never speaks alone. No `<` or `&` in here: the page is read back as XML.
"""

CSS = """
:root { color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1c2024; --quiet: #5a636c; --edge: #dcdfe3; --grid: #e8eaed;
  --s1: #0063a6; --s2: #c24a00; --s3: #007a59; --s4: #8a4a78; --good: #00664a; --bad: #b3261e; --ref: #6a727b; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #121417; --card: #1a1d21; --ink: #e8eaed; --quiet: #a3abb4; --edge: #33383e; --grid: #2a2e33;
  --s1: #62b6ee; --s2: #f5923e; --s3: #35c39a; --s4: #dc93c0; --good: #4fd0a6; --bad: #ff8a80; --ref: #8f98a1; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--quiet); margin: 0 0 .6rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .7rem; }
h3 { font-size: .92rem; font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.lead { font-size: 1.35rem; line-height: 1.42; margin: 0 0 1.3rem; max-width: 62ch; text-wrap: pretty; }
.quiet, figcaption, .note { color: var(--quiet); }
.quiet { font-size: .9rem; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.control { border-left: 4px solid var(--s2); background: var(--card); padding: .6rem .9rem; margin: 0 0 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 0; }
.tiles > div, figure, .scroll, .trace, .timeline { background: var(--card); border: 1px solid var(--edge);
  border-radius: 8px; }
.tiles > div { padding: 12px 16px; }
.tiles dt { font-size: .85rem; color: var(--quiet); } .tiles dd { margin: 0; }
.tiles .figure { font-size: 1.7rem; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles .note { font-size: .85rem; }
figure { margin: 0; padding: 14px 16px; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; margin: 0 auto; }
figcaption { font-size: .88rem; margin-top: .5rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: 12px; }
.grid.pair { grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.grid.pair svg { max-width: 470px; } .grid:not(.pair) svg { max-width: 400px; }
.narrow { display: none; }
.grid.pair.even { align-items: start; } section > h3 { margin-top: 1.5rem; }
.broad .drawn { max-width: 470px; } .broad figcaption > div { margin: 0 0 .6rem; }
@media (min-width: 860px) { .broad { display: grid; grid-template-columns: minmax(0, 470px) minmax(0, 1fr);
  gap: 0 28px; align-items: start; } .broad h3 { grid-column: 1 / -1; } }
 .stacked { display: grid; gap: 12px; }
.key { list-style: none; margin: .4rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 18px;
  font-size: .84rem; } .key li { overflow-wrap: anywhere; }
figure .key svg { display: inline-block; width: 10px; height: 10px; margin: 0; }
.missing { background: var(--card); border: 1px dashed var(--ref); border-radius: 8px; padding: .7rem .9rem; margin: 0;
  color: var(--quiet); }
.never { margin: .6rem 0; padding-left: 1.2rem; color: var(--quiet); }
section > * + .scroll, section > * + .grid, section > * + details, section > * + figure { margin-top: 12px; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--s1); outline-offset: 2px; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg .axis-title { fill: var(--ink); } svg .tag { font-size: 10px; }
svg .end { font-weight: 600; } svg .end.ref { fill: var(--quiet); font-weight: 400; }
.s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
svg .end.s1, svg .end.s2, svg .end.s3, svg .end.s4 { fill: var(--c); }
svg .tick { stroke: var(--grid); } svg .axis { stroke: var(--ref); }
svg .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
svg line.line { stroke-width: 1.4; }
svg .band { fill: var(--c); fill-opacity: .17; stroke: none; }
svg .mark { fill: var(--c); stroke: var(--card); stroke-width: 1; }
svg .hint { opacity: 0; } svg .hint:hover { opacity: 1; }
svg .hollow { fill: var(--card); stroke: var(--c); stroke-width: 1.8; }
svg .reference { stroke: var(--ref); stroke-width: 1.2; stroke-dasharray: 5 4; }
svg .zero { stroke: var(--ink); stroke-width: 1.2; } svg .decision { stroke: var(--ink); stroke-width: 1.4; }
svg .allowed { fill: var(--good); fill-opacity: .08; }
svg .good { fill: var(--good); } svg .bad { fill: var(--bad); font-weight: 600; }
svg .leader { fill: none; stroke: var(--ref); stroke-width: .8; } svg .bar { fill: var(--s1); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: 10px 12px 4px; }
th, td { text-align: left; vertical-align: top; padding: 7px 9px; border-top: 1px solid var(--edge); }
thead th { color: var(--quiet); font-weight: 600; border-top: 0; } th code, td code { white-space: nowrap; }
.below td { border-top: 0; padding-top: 0; } td .quiet { min-width: 9em; }
.measures { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 20px; }
.measures .quiet { min-width: 0; } .measures li { white-space: nowrap; }
.trace { padding: 14px 16px; font-size: .9rem; } .trace p { margin: 0 0 .3rem; }
.trace ul { list-style: none; margin: 0; padding: 0; }
.trace ul ul { margin: .5rem 0 0 4px; padding-left: 14px; border-left: 2px solid var(--edge); }
.trace .nodes { border: 0; margin: 0 0 .4rem; padding-left: 0; }
.trace .nodes li { display: flex; flex-wrap: wrap; gap: 0 12px; padding: 3px 0;
  align-items: baseline; color: var(--quiet); }
.trace .nodes li > * { overflow-wrap: anywhere; min-width: 0; } .trace .nodes li > code { color: var(--ink); }
.trace b { font-weight: 500; color: var(--ink); }
.kind { font-weight: 600; color: var(--s1); }
.state { border: 1px solid var(--edge); border-radius: 4px; padding: 0 5px; }
summary { cursor: pointer; color: var(--s1); }
.timeline { list-style: none; margin: 0; padding: 12px 16px; font-size: .9rem; font-variant-numeric: tabular-nums; }
.timeline li { display: grid; grid-template-columns: 15rem 1fr 5rem; gap: 12px; align-items: center; padding: 3px 0; }
.timeline svg { width: 100%; height: 12px; } .timeline li span:last-child { text-align: right; }
.timeline .stage { overflow-wrap: anywhere; }
footer { margin-top: 2.4rem; padding-top: 1rem; border-top: 1px solid var(--edge); color: var(--quiet);
  font-size: .88rem; }
footer dl { display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 0; } footer dl div { display: flex; gap: .5em; }
footer dt::after { content: ":"; } footer dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
@media (max-width: 700px) {
  main { padding: 18px 12px 36px; } .lead { font-size: 1.12rem; }
  .wide { display: none; } .narrow { display: block; } figure { padding: 10px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tiles > div { padding: 10px 12px; }
  .tiles .figure { font-size: 1.3rem; }
  .timeline li { grid-template-columns: 1fr 5rem; gap: 0 10px; } .timeline svg { grid-column: 1 / -1; grid-row: 2; }
}
"""
