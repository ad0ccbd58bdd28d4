/** How a report looks, on a screen and on paper. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#1a232e;--muted:#566270;--rule:#dde3ea;--page:#fff;--network:#1b6e45;--storage:#8a4b00;--returning:#5443a8;--isolated:#ae1f1f;--off:#5c6875;--c0:#1a66b8;--c1:#b25d00;--c2:#7a3f9d;--c3:#1b6e45}
@media (prefers-color-scheme:dark){:root{--ink:#e5ebf2;--muted:#9fabb9;--rule:#28323d;--page:#12181f;--network:#5fd09a;--storage:#f2b862;--returning:#b9adff;--isolated:#ff9086;--off:#97a3b1;--c0:#6fb1f5;--c1:#f0a64f;--c2:#cf9cf0;--c3:#5fd09a}}
@media print{:root{color-scheme:light}section{break-inside:avoid-page}}
body{max-width:60rem;margin:2rem auto;padding:0 1.25rem;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem;padding-bottom:.25rem;border-bottom:1px solid var(--rule)}
header p,footer,figcaption,thead th{color:var(--muted)}footer{margin-top:3rem;font-size:.85rem}
ul{padding-left:1.2rem}li{margin:.3rem 0}svg{display:block;width:100%;height:auto}
table{width:100%;border-collapse:collapse;font-size:.88rem;margin:.6rem 0}th,td{padding:.25rem .7rem .25rem 0;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--rule);overflow-wrap:anywhere}thead th{font-weight:500;overflow-wrap:normal}.number{text-align:right}
pre{padding:.8rem 1rem;border:1px solid var(--rule);border-radius:8px;overflow:auto;font-size:.82rem}
figure{margin:1rem 0}figcaption{font-size:.88rem}
svg text{font:11px system-ui,sans-serif;fill:var(--muted)}.label{text-anchor:end;font-weight:600;font-size:13px;fill:var(--ink)}
.axis path{stroke:var(--rule);fill:none}.axis text{text-anchor:middle}.axis .left{text-anchor:end}
.span{color:var(--off)}.span.network,.span.suspect{color:var(--network)}.span.storage{color:var(--storage)}.span.returning{color:var(--returning)}.span.isolated{color:var(--isolated)}
.span rect{fill:currentColor;fill-opacity:.16;stroke:currentColor}.span .hatch{fill:url(#hatch);fill-opacity:1}.span text{fill:currentColor;font-weight:600}.span.unknown rect{fill:none;stroke-dasharray:3 3}
.curve{fill:none;stroke:var(--k);stroke-width:1.6}.max{stroke-width:1;opacity:.4;stroke-dasharray:3 3}.key{color:var(--k);font-weight:600}
.c0{--k:var(--c0)}.c1{--k:var(--c1)}.c2{--k:var(--c2)}.c3{--k:var(--c3)}
`;
