/** What of an outcome may differ from one request to the next: ids, times. It has to be there, and of the same form. */
import type { Received } from './echo.ts';
import type { Outcome } from './pair.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const forms: Readonly<Record<string, RegExp>> = {
  'x-request-id': uuid,
  traceparent: /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/,
  'x-b3-traceid': /^([0-9a-f]{16}|[0-9a-f]{32})$/,
  'x-b3-spanid': /^[0-9a-f]{16}$/,
  'x-envoy-upstream-service-time': /^\d+$/,
  'x-ratelimit-reset': /^\d+$/,
  'retry-after': /^\d+$/,
  date: /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/,
};

/** `decider`: pod of the service that decides about requests; to the byte that is for `test/envoy/ext-authz.test.ts`. */
export function normalized({ answer, received }: Outcome, decider?: string): Outcome {
  return {
    answer: { ...answer, headers: answer.headers.map(formed) },
    received: received
      .map((r) => ({ ...r, headers: r.headers.map(formed) }))
      .map((r) => (r.pod === decider ? asked(r) : r))
      .toSorted((a, b) => (a.pod < b.pod ? -1 : a.pod > b.pod ? 1 : 0)),
  };
}

/** Our waypoint writes no header about how long it waits. A Check has times and ids in it. */
function asked(r: Received): Received {
  const isCheck = r.path.endsWith('/Check');
  const headers = r.headers.filter((line) => !/^(x-envoy-expected-rq-timeout-ms|transfer-encoding): /.test(line));
  return isCheck ? { ...r, headers: [], body: '' } : { ...r, headers };
}

function formed(line: string): string {
  const colon = line.indexOf(': ');
  // Its options are without case (RFC 9110, 7.6.1).
  if (line.startsWith('connection: ')) return line.toLowerCase();
  const form = forms[line.slice(0, colon)];
  return form?.test(line.slice(colon + 2)) ? `${line.slice(0, colon)}: (${form.source})` : line;
}
