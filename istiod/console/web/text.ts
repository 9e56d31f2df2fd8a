/** Elements and words. Text only ever becomes text: nothing of the mesh is read as HTML. */
import type { RequestFlow } from '../traffic/requests.ts';

type Child = Node | string | undefined;

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((c) => c !== undefined));
  return made;
}

export function drawing<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string | number>> = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children.filter((c) => c !== undefined));
  return made;
}

/** `4.2 requests/s, 0.5/s with 5xx`; without rates `12 requests, 1 with 5xx`. */
export function requests({ rates, ...counted }: RequestFlow): string {
  const { answered, refused, failed } = rates ?? counted;
  const some = (n: number, status: string) => (n > 0 ? [`${perSecond(n)}${rates ? '/s' : ''} with ${status}`] : []);
  const all = rates ? `${perSecond(answered)} requests/s` : count(answered, 'request');
  return [all, ...some(failed, '5xx'), ...some(refused, '4xx')].join(', ');
}

/** `0.4`, `12`. */
export function perSecond(n: number): string {
  return n > 0 && n < 10 ? n.toFixed(1) : String(Math.round(n));
}

/** `1.2 MB/s`. */
export function rate(bytes: number): string {
  return `${size(bytes)}/s`;
}

export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `in 3 h`, `2 d ago`. */
export function when(ms: number, now: number): string {
  const distance = Math.abs(ms - now) / 1000;
  const [amount, unit] =
    distance < 90
      ? [distance, 's']
      : distance < 5_400
        ? [distance / 60, 'min']
        : distance < 129_600
          ? [distance / 3_600, 'h']
          : [distance / 86_400, 'd'];
  return ms < now ? `${Math.round(amount)} ${unit} ago` : `in ${Math.round(amount)} ${unit}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
