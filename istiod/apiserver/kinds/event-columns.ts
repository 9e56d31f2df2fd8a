/** Columns of Event, whose fields have other names in the core group than in events.k8s.io. */
import type { Column } from '../resources/resource.ts';
import { text, textAt } from './columns.ts';

export interface EventFields {
  /** Time of the last one, where there is no series. */
  readonly last: string;
  /** What it is about. */
  readonly object: string;
  readonly message: string;
}

export function eventColumns({ last, object, message }: EventFields): readonly Column[] {
  return [
    {
      name: 'Last Seen',
      type: 'date',
      description: 'Time since it happened last',
      priority: 0,
      value: (o) =>
        [textAt(o, 'series', 'lastObservedTime'), textAt(o, last), textAt(o, 'eventTime')].find((t) => t !== '') ??
        null,
    },
    text('Type', 'Normal or Warning', (o) => textAt(o, 'type')),
    text('Reason', 'Why, in one word', (o) => textAt(o, 'reason')),
    text(
      'Object',
      'What it is about',
      (o) => `${textAt(o, object, 'kind').toLowerCase()}/${textAt(o, object, 'name')}`,
    ),
    text('Message', 'What happened', (o) => textAt(o, message).trim()),
  ];
}
