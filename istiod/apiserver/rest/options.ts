/** Options of requests, from the query; those of deletions also from the body. */

import { isTrue } from '../http/request-info.ts';
import { badRequest } from '../status.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface WriteOptions {
  readonly dryRun: boolean;
  /** Who the written fields belong to. */
  readonly fieldManager: string;
  readonly fieldValidation: FieldValidation;
  /** Of an apply: takes over fields of others. */
  readonly force: boolean;
}

export interface DeleteOptions {
  readonly dryRun: boolean;
  readonly gracePeriodSeconds: number | undefined;
  readonly propagation: 'Orphan' | 'Background' | 'Foreground' | undefined;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

const managerLimit = 128;

export function writeOptions(query: URLSearchParams, userAgent: string | undefined): WriteOptions {
  const validation = query.get('fieldValidation') ?? '';
  if (!['', 'Ignore', 'Warn', 'Strict'].includes(validation)) {
    throw badRequest(`fieldValidation ${JSON.stringify(validation)} is not one of Ignore, Warn, Strict`);
  }
  const manager = query.get('fieldManager') ?? '';
  if (manager.length > managerLimit) throw badRequest(`fieldManager is longer than ${managerLimit} characters`);
  return {
    dryRun: dryRun(query.getAll('dryRun')),
    fieldManager: manager === '' ? managerOf(userAgent) : manager,
    fieldValidation: validation === '' ? 'Warn' : (validation as FieldValidation),
    force: isTrue(query.get('force')),
  };
}

/** What the client calls itself before the first `/`. */
function managerOf(userAgent = ''): string {
  const name = userAgent.split('/', 1)[0]!.slice(0, managerLimit);
  return name === '' ? 'unknown' : name;
}

function dryRun(values: readonly unknown[]): boolean {
  for (const value of values) {
    if (value !== 'All') throw badRequest(`dryRun ${JSON.stringify(value)}: the only value is All`);
  }
  return values.length > 0;
}

/** The body's fields win over the query's. */
export function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
  const given = (body ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof given !== 'object' || Array.isArray(given)) throw badRequest('the body is no DeleteOptions object');
  const preconditions = (given['preconditions'] ?? {}) as Readonly<Record<string, unknown>>;
  const grace = given['gracePeriodSeconds'] ?? numberIn(query, 'gracePeriodSeconds');
  if (grace !== undefined && (!Number.isInteger(grace) || (grace as number) < 0)) {
    throw badRequest(`gracePeriodSeconds ${JSON.stringify(grace)} is not a whole number of seconds`);
  }
  const orphan = given['orphanDependents'] ?? query.get('orphanDependents');
  const propagation = given['propagationPolicy'] ?? query.get('propagationPolicy') ?? undefined;
  if (propagation !== undefined && !['Orphan', 'Background', 'Foreground'].includes(propagation as string)) {
    throw badRequest(`propagationPolicy ${JSON.stringify(propagation)} is not one of Orphan, Background, Foreground`);
  }
  return {
    dryRun: dryRun([...query.getAll('dryRun'), ...((given['dryRun'] ?? []) as unknown[])]),
    gracePeriodSeconds: grace as number | undefined,
    propagation:
      (propagation as DeleteOptions['propagation']) ?? (isTrue(orphan as string | null) ? 'Orphan' : undefined),
    uid: textOf(preconditions['uid']),
    resourceVersion: textOf(preconditions['resourceVersion']),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function numberIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name}=${JSON.stringify(text)} is not a whole number`);
  return Number(text);
}
