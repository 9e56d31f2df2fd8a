/** What of a report nobody else may see. Pure. */
import type { KubeObject } from '../../common/kube/types.ts';

/** Names of settings whose value is one. */
const secretName = /(TOKEN|PASSWORD|PASSWD|SECRET|PRIVATE_?KEY|API_?KEY|CREDENTIAL)/i;

/** An object without values of Secrets and of settings that sound like one; everything else as it is. */
export function redactObject(object: KubeObject): KubeObject {
  const { metadata } = object;
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...annotations } = metadata.annotations ?? {};
  const plain = { ...object, metadata: { ...metadata, ...(metadata.annotations && { annotations }) } };
  if (object.kind !== 'Secret') return redactSettings(plain) as KubeObject;
  const hidden = (values: unknown) =>
    Object.fromEntries(
      Object.entries((values ?? {}) as Readonly<Record<string, string>>).map(([k, v]) => [
        k,
        `[redacted, ${v.length} characters]`,
      ]),
    );
  return {
    ...plain,
    ...('data' in object && { data: hidden(object['data']) }),
    ...('stringData' in object && { stringData: hidden(object['stringData']) }),
  };
}

/** `{name: X, value: Y}` of containers, wherever it stands. */
function redactSettings(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactSettings);
  if (typeof value !== 'object' || value === null) return value;
  const { name, value: setting } = value as { readonly name?: unknown; readonly value?: unknown };
  const inner = Object.fromEntries(Object.entries(value).map(([k, v]) => [k, redactSettings(v)]));
  return typeof name === 'string' && typeof setting === 'string' && secretName.test(name)
    ? { ...inner, value: '[redacted]' }
    : inner;
}

const keys = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(?:-----END \1-----|$)/g;
/** PEM of a key in base64 (`-----BEGIN ... PRIVATE`), as Secrets and dumps have it: its first 33 bytes tell. */
const encodedKeys = /LS0tLS1CRUdJTi(?:[A-Za-z0-9+/]{0,24})(?:UFJJVkFURS|QUklWQVRF|BSSVZBVE)[A-Za-z0-9+/=\\n]*/g;
const tokens = /\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g;
const bearer = /\b(authorization["']?\s*[:=]\s*["']?(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]+/gi;

/** Any text: logs, dumps, YAML. */
export function redactText(text: string): string {
  return text
    .replace(keys, '[redacted: private key]')
    .replace(encodedKeys, '[redacted: private key]')
    .replace(tokens, '[redacted: token]')
    .replace(bearer, '$1[redacted]');
}
