/** Headers that a verified token gives to the service. */
import type { Headers } from '../../request/headers.ts';
import type { Provider } from './provider.ts';
import type { Token } from './token.ts';

export function writeClaims(token: Token, provider: Provider, headers: Headers): void {
  const { payloadHeader, padsPayload, claimHeaders } = provider;
  if (payloadHeader !== '') {
    const padding = padsPayload ? '='.repeat((4 - (token.payloadText.length % 4)) % 4) : '';
    headers.append(payloadHeader, token.payloadText + padding);
  }
  for (const { header, claim } of claimHeaders) {
    const text = claimText(claimAt(token.payload, claim));
    if (text !== '') headers.append(header, text);
  }
}

/** `a.b`: a claim within a claim. */
function claimAt(payload: Token['payload'], path: string): unknown {
  let value: unknown = payload;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}

function claimText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      // No header may have a line's end in it.
      return /[\0\r\n]/.test(value) ? '' : value;
    case 'number':
      return numberText(value);
    case 'boolean':
      return String(value);
    default:
      return value === undefined || value === null ? '' : Buffer.from(JSON.stringify(value)).toString('base64');
  }
}

/** As Envoy's: whole numbers of 64 bits, or six digits after the point. */
function numberText(value: number): string {
  if (!Number.isInteger(value)) return value.toFixed(6);
  return Math.abs(value) < 2 ** 63 ? String(BigInt(value)) : `${BigInt(value)}.000000`;
}
