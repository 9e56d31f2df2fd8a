/** Times by strftime's letters, as `%START_TIME(...)%` has them; UTC. */

/** Throws Error for a letter that is not known. Without a format: ISO 8601 with milliseconds. */
export function compileTime(format: string): (time: number) => string {
  if (format === '') return isoTime;
  const parts = [...format.matchAll(/%(\d?[A-Za-z%])|([^%]+)|%/g)].map(([whole, letter, literal]) => {
    if (literal !== undefined) return () => literal;
    const made = letter === undefined || !Object.hasOwn(letters, letter) ? undefined : letters[letter];
    if (!made) throw new Error(`%START_TIME(${format})%: ${whole} is not supported`);
    return made;
  });
  return (time) => {
    const date = new Date(time);
    return parts.map((part) => part(date)).join('');
  };
}

let lastTime = Number.NaN;
let lastText = '';

/** Requests of one moment, and their several logs, share the text. */
function isoTime(time: number): string {
  if (time !== lastTime) {
    lastText = new Date(time).toISOString();
    lastTime = time;
  }
  return lastText;
}

const two = (n: number) => String(n).padStart(2, '0');
const fraction = (date: Date, digits: number) =>
  String(date.getUTCMilliseconds()).padStart(3, '0').padEnd(9, '0').slice(0, digits);
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const letters: Readonly<Record<string, (date: Date) => string>> = {
  Y: (d) => String(d.getUTCFullYear()),
  m: (d) => two(d.getUTCMonth() + 1),
  d: (d) => two(d.getUTCDate()),
  H: (d) => two(d.getUTCHours()),
  M: (d) => two(d.getUTCMinutes()),
  S: (d) => two(d.getUTCSeconds()),
  T: (d) => d.toISOString().slice(11, 19),
  F: (d) => d.toISOString().slice(0, 10),
  a: (d) => days[d.getUTCDay()]!,
  b: (d) => months[d.getUTCMonth()]!,
  s: (d) => String(Math.floor(d.getTime() / 1_000)),
  f: (d) => fraction(d, 9),
  z: () => '+0000',
  Z: () => 'UTC',
  '%': () => '%',
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [`${n}f`, (d: Date) => fraction(d, n)])),
};
