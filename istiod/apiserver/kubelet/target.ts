/** Which container of which pod a request means, and the options that its query gives. Pure. ApiError. */
import type { LogOptions, PodRef, ProcessOptions } from '../../../common/kube/kubelet/requests.ts';
import { isTrue } from '../http/request-info.ts';
import { listAt, textAt } from '../kinds/columns.ts';
import type { ApiObject } from '../objects.ts';
import { badRequest, type Cause, invalid } from '../status.ts';

export function podRef({ metadata }: ApiObject): PodRef {
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '', uid: metadata.uid ?? '' };
}

const containerLists = ['containers', 'initContainers', 'ephemeralContainers'] as const;
export const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container';

/** The one that is asked for, or the only one. */
export function containerOf(pod: ApiObject, asked: string | null): string {
  const name = pod.metadata.name ?? '';
  const names = (list: string) => listAt(pod, 'spec', list).map((c) => textAt(c, 'name'));
  const all = containerLists.flatMap(names);
  if (asked !== null && asked !== '') {
    if (all.includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  const [only, ...others] = names('containers');
  if (only !== undefined && others.length === 0) return only;
  const preferred = pod.metadata.annotations?.[defaultContainerAnnotation];
  if (preferred !== undefined && all.includes(preferred)) return preferred;
  const init = names('initContainers');
  const choose = `choose one of: [${[only, ...others].join(' ')}]${init.length > 0 ? ` or one of the init containers: [${init.join(' ')}]` : ''}`;
  throw badRequest(`a container name must be specified for pod ${name}, ${choose}`);
}

/** Empty where no node has the pod. */
export function nodeOf(pod: ApiObject): string {
  return textAt(pod, 'spec', 'nodeName');
}

export function processOptions(query: URLSearchParams): ProcessOptions {
  const tty = isTrue(query.get('tty'));
  const options = {
    stdin: isTrue(query.get('stdin')),
    stdout: isTrue(query.get('stdout')),
    stderr: isTrue(query.get('stderr')) && !tty,
    tty,
  };
  if (!options.stdin && !options.stdout && !options.stderr) {
    throw badRequest('you must specify at least one of stdin, stdout, stderr');
  }
  return options;
}

/** `now`: ms since the epoch. */
export function logOptions(query: URLSearchParams, now: number): LogOptions {
  const causes: Cause[] = [];
  const number = (field: string, least: number): number | undefined => {
    const text = query.get(field);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= least) return value;
    const message = `Invalid value: ${JSON.stringify(text)}: must be a whole number, at least ${least}`;
    causes.push({ reason: 'FieldValueInvalid', field, message });
    return undefined;
  };
  const tail = number('tailLines', 0);
  const limit = number('limitBytes', 1);
  const seconds = number('sinceSeconds', 1);
  const time = query.get('sinceTime');
  const parsed = time === null || time === '' ? undefined : Date.parse(time);
  if (parsed !== undefined && Number.isNaN(parsed)) {
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'sinceTime',
      message: `Invalid value: ${JSON.stringify(time)}: must be a time (RFC 3339)`,
    });
  }
  if (seconds !== undefined && parsed !== undefined) {
    causes.push({
      reason: 'FieldValueForbidden',
      field: 'sinceSeconds',
      message: 'Forbidden: at most one of sinceTime or sinceSeconds may be specified',
    });
  }
  const stream = query.get('stream') ?? 'All';
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr') {
    causes.push({
      reason: 'FieldValueNotSupported',
      field: 'stream',
      message: `Unsupported value: ${JSON.stringify(stream)}: supported values: "All", "Stdout", "Stderr"`,
    });
  } else if (stream !== 'All' && tail !== undefined) {
    causes.push({
      reason: 'FieldValueForbidden',
      field: 'tailLines',
      message: 'Forbidden: `tailLines` and specific `stream` are mutually exclusive',
    });
  }
  if (causes.length > 0) throw invalid('', 'PodLogOptions', '', causes);
  return {
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    tail,
    limit,
    since: seconds === undefined ? parsed : now - seconds * 1000,
    stream: stream as LogOptions['stream'],
  };
}
