/** What a service is told of a request, before its protocol: as Envoy tells it. */
import type { RequestView } from '../../request/view.ts';
import type { FilterContext } from '../filter.ts';
import type { BodySettings, Config } from './config.ts';

export interface Check {
  readonly view: RequestView;
  /** Those that the service may see, pseudo-headers first. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** undefined: none was asked for. */
  readonly body: { readonly bytes: Buffer; readonly asBytes: boolean } | undefined;
  readonly extensions: Readonly<Record<string, string>>;
}

/** Says whether the body that the service gets is all of it; a client does not. */
const partialHeader = 'x-envoy-auth-partial-body';

export function checkOf(
  config: Config,
  view: RequestView,
  body: { readonly settings: BodySettings; readonly bytes: Buffer } | undefined,
  extensions: Readonly<Record<string, string>>,
): Check {
  const headers = config.rawHeaders ? [...allHeaders(view)] : joined(allHeaders(view));
  const seen = headers.filter(([name]) => name !== partialHeader && config.sends(name));
  const kept = body?.bytes.subarray(0, body.settings.most);
  if (body && kept && body.bytes.length > 0) seen.push([partialHeader, String(kept.length !== body.bytes.length)]);
  return {
    view,
    headers: seen,
    body: body && kept && { bytes: kept, asBytes: body.settings.asBytes },
    extensions,
  };
}

function* allHeaders(view: RequestView): IterableIterator<readonly [string, string]> {
  if (view.authority !== '') yield [':authority', view.authority];
  if (view.path !== '') yield [':path', view.path];
  yield [':method', view.method];
  yield [':scheme', view.scheme];
  yield* view.headers;
}

/** One line a name: values of a repeated one behind commas. */
function joined(headers: Iterable<readonly [string, string]>): [string, string][] {
  const all = new Map<string, string>();
  for (const [name, value] of headers) {
    const before = all.get(name);
    all.set(name, before === undefined ? value : `${before},${value}`);
  }
  return [...all];
}

/** Bytes that are no UTF-8 become `!`, each one. `text` is latin1, as headers are. */
export function asUtf8(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what is looked for
  return /^[\x00-\x7f]*$/.test(text) ? text : sanitize(Buffer.from(text, 'latin1'));
}

export function sanitize(bytes: Buffer): string {
  const out = Buffer.from(bytes);
  for (let at = 0; at < out.length; ) {
    const length = sequenceAt(out, at);
    if (length === 0) out[at] = 0x21;
    at += Math.max(length, 1);
  }
  return out.toString('utf8');
}

/** Bytes of the UTF-8 sequence that begins there (RFC 3629 4); 0: none does. */
function sequenceAt(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length =
    first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let i = 1; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1]!;
  const isShortest = !(first === 0xe0 && second < 0xa0) && !(first === 0xf0 && second < 0x90);
  const isScalar = !(first === 0xed && second > 0x9f) && !(first === 0xf4 && second > 0x8f);
  return isShortest && isScalar ? length : 0;
}

/** Metadata of the namespaces that are passed on, those that there are. */
export function chosen(
  of: { get(namespace: string): unknown },
  namespaces: readonly string[],
): readonly (readonly [string, object])[] {
  return namespaces.flatMap((name) => {
    const value = of.get(name);
    return typeof value === 'object' && value !== null ? [[name, value] as const] : [];
  });
}

/** Of the route that was chosen. */
export function routeMetadata({ format }: FilterContext): { get(namespace: string): unknown } {
  const { routeMetadata: metadata } = format.facts;
  return { get: (name) => (metadata && Object.hasOwn(metadata, name) ? metadata[name] : undefined) };
}
