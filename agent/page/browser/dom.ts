/** Making elements out of text, and bringing what is shown to what is to be shown without touching what stays. No HTML is ever parsed. */

type Child = Node | string | number | null | undefined | false;
type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

const SVG = 'http://www.w3.org/2000/svg' as const;

function made<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === 'number' ? String(child) : child);
  }
  return element;
}

export const h = (tag: string, attributes: Attributes = {}, ...children: Child[]): HTMLElement =>
  made(document.createElement(tag), attributes, children);

export const s = (tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement =>
  made(document.createElementNS(SVG, tag), attributes, children);

/** The element of the page's own HTML with this id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Makes the children of `place` what they are to be; nodes that stay keep focus, selection and a reader's place. */
export function show(place: Element, ...children: Child[]): void {
  const wanted = made(document.createElement('div'), {}, children);
  morphChildren(place, wanted);
}

function morphChildren(place: Element, wanted: Element): void {
  const targets = [...wanted.childNodes];
  targets.forEach((target, i) => {
    const present = place.childNodes[i];
    if (!present) place.append(target);
    else if (!isSameKind(present, target)) place.replaceChild(target, present);
    else if (present instanceof Element && target instanceof Element) morph(present, target);
    else if (present.nodeValue !== target.nodeValue) present.nodeValue = target.nodeValue;
  });
  while (place.childNodes.length > targets.length) place.lastChild?.remove();
}

const isSameKind = (one: Node, other: Node): boolean =>
  one.nodeName === other.nodeName &&
  (!(one instanceof Element) || one.getAttribute('data-key') === (other as Element).getAttribute('data-key'));

function morph(present: Element, target: Element): void {
  for (const name of present.getAttributeNames()) if (!target.hasAttribute(name)) present.removeAttribute(name);
  for (const name of target.getAttributeNames()) {
    const value = target.getAttribute(name) ?? '';
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  morphChildren(present, target);
}
