// Elements made of text alone: what a model wrote is never read as markup.

/** An element. Attributes that are functions listen (`onclick`), null ones are left out; children are nodes or text. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put these children, or text, in the place of what an element has. */
function refill(element, ...children) {
  element.replaceChildren();
  return fill(element, {}, children);
}

const MISSING = "–";

/** A number with so many significant digits; a dash for what is missing. */
function number(value, digits = 3) {
  return value === null || value === undefined ? MISSING : Number(value).toLocaleString("en", { maximumSignificantDigits: digits });
}

/** A difference, with its sign. */
function signed(value, digits = 3) {
  return value === null || value === undefined || value === 0 ? number(value) : `${value < 0 ? "−" : "+"}${number(Math.abs(value), digits)}`;
}

/** Nats, with as many decimals in each line of a column. */
function nats(value) {
  return value === null || value === undefined ? MISSING : value.toFixed(3).replace("-", "−");
}

/** A difference of nats. */
function signedNats(value) {
  return value > 0 ? `+${nats(value)}` : nats(value);
}

/** 0.125 as 12.5 %. */
function percent(value) {
  return value === null || value === undefined ? MISSING : `${(100 * value).toFixed(1)} %`;
}
