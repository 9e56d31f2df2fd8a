/** ConfigMaps and Secrets: names and size of their keys, and what immutable ones keep. Pure. */
import { isSameJson } from '../../../common/core/same-json.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { at, textAt } from './columns.ts';
import { forbidden, invalidValue, required, sameFields } from './rules.ts';

/** Bytes of all values together. */
const sizeLimit = 1024 * 1024;
const keyName = /^(?!\.\.?$)(?!\.\.)[-._a-zA-Z0-9]{1,253}$/;

export function checkData(object: ApiObject, old: ApiObject | undefined): readonly Cause[] {
  const causes: Cause[] = [];
  let size = 0;
  for (const field of ['data', 'binaryData']) {
    for (const [key, value] of Object.entries((at(object, field) ?? {}) as Record<string, string>)) {
      if (!keyName.test(key)) {
        const message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        causes.push(invalidValue(`${field}[${key}]`, key, message));
      }
      if (field === 'binaryData' && at(object, 'data', key) !== undefined)
        causes.push(invalidValue(`binaryData[${key}]`, key, 'duplicate of key present in data'));
      size += object.kind === 'ConfigMap' && field === 'data' ? Buffer.byteLength(value) : (value.length * 3) / 4;
    }
  }
  if (size > sizeLimit)
    causes.push({ reason: 'FieldValueTooLong', field: 'data', message: `may not be more than ${sizeLimit} bytes` });
  if (old?.['immutable'] !== true) return causes;
  if (object['immutable'] !== true) causes.push(forbidden('immutable', 'field is immutable when `immutable` is set'));
  for (const field of ['data', 'binaryData']) {
    if (!isSameJson(object[field], old[field]))
      causes.push(forbidden(field, 'field is immutable when `immutable` is set'));
  }
  return causes;
}

/** Type -> keys that a Secret of it has. */
const keysOf: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

export function checkSecret(secret: ApiObject, old: ApiObject | undefined): readonly Cause[] {
  const type = textAt(secret, 'type');
  const has = (key: string) => at(secret, 'data', key) !== undefined;
  const causes = [...checkData(secret, old)];
  for (const key of Object.hasOwn(keysOf, type) ? keysOf[type]! : [])
    if (!has(key)) causes.push(required(`data[${key}]`));
  if (type === 'kubernetes.io/basic-auth' && !has('username') && !has('password'))
    causes.push(required('data[username]'));
  if (type === 'kubernetes.io/service-account-token') {
    const name = 'kubernetes.io/service-account.name';
    if ((secret.metadata.annotations?.[name] ?? '') === '') causes.push(required(`metadata.annotations[${name}]`));
  }
  return old === undefined ? causes : [...causes, ...sameFields(secret, old, ['type'], [], 'is immutable')];
}
