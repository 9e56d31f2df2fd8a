/** What Helm keeps of an installation: a Secret a version, its text in base64, gzip and base64 (helm.sh, storage/driver). Pure. */
import { gunzipSync } from 'node:zlib';
import { isObject } from '../../common/kube/schema/validate.ts';
import type { KubeObject } from '../../common/kube/types.ts';

export interface Release {
  readonly name: string;
  readonly namespace: string;
  /** Counted by Helm. */
  readonly version: number;
  readonly status: string;
  readonly chart: string;
  readonly chartVersion: string;
  /** What its user set. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** Bytes: a Secret has 1 MiB, which shrank before. */
const longest = 64 << 20;

/** undefined where the object is no release, or cannot be read. */
export function releaseIn({ metadata, ...secret }: KubeObject): Release | undefined {
  if (secret['type'] !== 'helm.sh/release.v1') return undefined;
  try {
    const text = (secret['data'] as Readonly<Record<string, string>>)['release'] ?? '';
    const packed = Buffer.from(Buffer.from(text, 'base64').toString(), 'base64');
    const found: unknown = JSON.parse(gunzipSync(packed, { maxOutputLength: longest }).toString());
    if (!isObject(found) || !isObject(found['chart']) || !isObject(found['chart']['metadata'])) return undefined;
    const { name, version } = found['chart']['metadata'];
    return {
      name: String(found['name']),
      namespace: metadata.namespace ?? 'default',
      version: Number(found['version']),
      status: isObject(found['info']) ? String(found['info']['status']) : 'unknown',
      chart: String(name),
      chartVersion: String(version),
      values: isObject(found['config']) ? found['config'] : {},
    };
  } catch {
    return undefined;
  }
}
