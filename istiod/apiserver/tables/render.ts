/** Objects as rows for people: meta.k8s.io/v1 Table. */
import type { ApiObject } from '../objects.ts';
import type { Column, Resource } from '../resources/resource.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableRow {
  readonly cells: readonly unknown[];
  readonly object?: unknown;
}

const nameColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique in its namespace',
  priority: 0,
} as const;

export function columnDefinitions(resource: Resource): readonly object[] {
  return [
    nameColumn,
    ...withAge(resource).map(({ name, type, format = '', description, priority }) => ({
      name,
      // Ages are told, not dates.
      type: type === 'date' ? 'string' : type,
      format,
      description,
      priority,
    })),
  ];
}

export function rowOf(resource: Resource, object: ApiObject, now: number, include: IncludeObject): TableRow {
  const cells = withAge(resource).map(({ type, value }) => {
    const v = value(object);
    return type === 'date' ? ageOf(v, now) : v;
  });
  const row = { cells: [object.metadata.name ?? '', ...cells] };
  if (include === 'Object') return { ...row, object };
  return include === 'Metadata' ? { ...row, object: partial(object) } : row;
}

export function partial(object: ApiObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

const age: Column = {
  name: 'Age',
  type: 'date',
  description: 'Time since the object was made',
  priority: 0,
  value: (o) => o.metadata.creationTimestamp ?? null,
};

function withAge({ columns }: Resource): readonly Column[] {
  return columns.length === 0 ? [age] : columns;
}

function ageOf(time: unknown, now: number): string {
  const from = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(from) ? '<unknown>' : duration(Math.max(0, now - from));
}

/** `42s`, `5m30s`, `3h`, `2d4h`: two units while the first is small, as kubectl shows ages. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  const two = (a: number, unit: string, b: number, smaller: string) =>
    b === 0 ? `${a}${unit}` : `${a}${unit}${b}${smaller}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return two(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? two(years, 'y', days % 365, 'd') : `${years}y`;
}
