/** An API server's refusal of an object from a file, as problems of the fields that it names. */
import type { MeshError } from '../../core/errors.ts';
import { ApiRefusal } from '../client/transport.ts';
import type { ManifestObject } from './documents.ts';
import type { Problem } from './problem.ts';

/** At least one. */
export function refusalProblems(manifest: ManifestObject, e: MeshError): readonly Problem[] {
  if (!(e instanceof ApiRefusal)) return [manifest.problemAt(undefined, e.message)];
  if (e.causes.length > 0) return e.causes.map((c) => manifest.problemAt(c.field, c.message));
  const unknown = [...e.said.matchAll(/unknown field "([^"]+)"/g)].map((m) => m[1]!);
  if (unknown.length > 0) return unknown.map((field) => manifest.problemAt(field, 'unknown field'));
  return [manifest.problemAt(undefined, e.said)];
}
