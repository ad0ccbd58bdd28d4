/**
 * What a page shows now, as a picture of text: its elements and the rules that hold for this window, in an SVG. Words stay words,
 * curves (canvases) become images inside; the viewer's own fonts draw it.
 */
import type { Page } from 'playwright-core';

const IN_PAGE = `(async () => {
  const icon = 'data:image/svg+xml,' + encodeURIComponent(await (await fetch('/icon.svg')).text());
  const root = document.documentElement;
  const copy = root.cloneNode(true);
  const pairs = (what) => [...root.querySelectorAll(what)].map((from, i) => [from, copy.querySelectorAll(what)[i]]);
  for (const [from, to] of pairs('input')) to.toggleAttribute('checked', from.checked);
  for (const [from, to] of pairs('option')) to.toggleAttribute('selected', from.selected);
  for (const [from, to] of pairs('canvas').reverse()) {
    const image = document.createElement('img');
    const { width, height } = from.getBoundingClientRect();
    image.src = from.toDataURL();
    image.alt = '';
    image.setAttribute('style', 'display:block;position:absolute;left:0;top:0;width:' + width + 'px;height:' + height + 'px');
    to.replaceWith(image);
  }
  // Rows that nobody sees would only make it long.
  for (const [from, to] of pairs('.scroll tr').reverse()) {
    if (from.getBoundingClientRect().top > from.closest('.scroll').getBoundingClientRect().bottom) to.remove();
  }
  for (const gone of copy.querySelectorAll('script, link, noscript, meta')) gone.remove();
  // A picture's own size answers media queries otherwise: what holds here is written down.
  const holding = (rules) => [...rules].map((rule) =>
    rule instanceof CSSMediaRule ? (matchMedia(rule.conditionText).matches ? holding(rule.cssRules) : '') : rule.cssText,
  ).join('\\n');
  const style = document.createElement('style');
  style.textContent = [...document.styleSheets].map(({ cssRules }) => holding(cssRules)).join('\\n').replaceAll('/icon.svg', icon);
  copy.querySelector('head').append(style);
  const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
  copy.style.colorScheme = isDark ? 'dark' : 'light';
  copy.style.background = getComputedStyle(document.body).backgroundColor;
  const [width, height] = [root.clientWidth, root.scrollHeight];
  const body = new XMLSerializer().serializeToString(copy);
  return '<svg xmlns="http://www.w3.org/2000/svg" width="' + width + '" height="' + height + '" viewBox="0 0 ' + width + ' ' + height +
    '"><foreignObject width="' + width + '" height="' + height + '">' + body + '</foreignObject></svg>\\n';
})()`;

/** As a document of its own. Length and width are the page's, in CSS pixels. */
export const pictureOf = async (page: Page): Promise<string> => (await page.evaluate(IN_PAGE)) as string;
