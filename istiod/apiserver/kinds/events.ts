/** Event of events.k8s.io/v1: core's Event under newer names. */
import type { ApiObject } from '../objects.ts';
import type { Conversion } from '../resources/resource.ts';
import { type BuiltInKind, shaped } from './built-in.ts';
import { eventColumns } from './event-columns.ts';

/** Name in events.k8s.io -> name in core. */
const renamed = {
  regarding: 'involvedObject',
  note: 'message',
  reportingController: 'reportingComponent',
  deprecatedSource: 'source',
  deprecatedFirstTimestamp: 'firstTimestamp',
  deprecatedLastTimestamp: 'lastTimestamp',
  deprecatedCount: 'count',
} as const;

export const eventConversion: Conversion = {
  toStored(object) {
    for (const [newer, older] of Object.entries(renamed)) rename(object, newer, older);
    object['involvedObject'] ??= {};
  },
  fromStored(object) {
    for (const [newer, older] of Object.entries(renamed)) rename(object, older, newer);
  },
};

function rename(object: ApiObject, from: string, to: string): void {
  if (!Object.hasOwn(object, from)) return;
  object[to] = object[from];
  delete object[from];
}

export const eventResources: readonly BuiltInKind[] = [
  {
    entry: shaped({ group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', namespaced: true }),
    shortNames: ['ev'],
    selectableFields: ['reason', 'type'],
    columns: eventColumns({ last: 'deprecatedLastTimestamp', object: 'regarding', message: 'note' }),
    stored: { resource: 'events.core', apiVersion: 'v1' },
    conversion: eventConversion,
  },
];
