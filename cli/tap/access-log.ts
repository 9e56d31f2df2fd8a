/** A request out of a line of a waypoint's access log: Istio's text format, and its JSON. Pure. */

export interface LoggedRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Envoy's response flags and details; empty: none. */
  readonly flags: string;
  readonly details: string;
  /** Ms. */
  readonly duration: number;
  /** Of x-request-id; empty: none. */
  readonly id: string;
  readonly authority: string;
  /** Address and port of who asked, and of what was asked. */
  readonly source: string;
  readonly destination: string;
}

// Names of clients may hold quotes and blanks, so the end of the line is read from its end.
const text =
  /^\[[^\]]+\] "(\S+) (\S+) \S+" (\d+) (\S+) (\S+) \S+ ".*?" \S+ \S+ (\d+) \S+ ".*" "([^"]*)" "([^"]*)" "[^"]*" \S+ \S+ (\S+) (\S+) \S+ \S+$/;

/** undefined: a line about a connection, of another log, or in a format of the user's own. */
export function parseRequest(line: string): LoggedRequest | undefined {
  return line.startsWith('{') ? ofJson(line) : ofText(line);
}

function ofText(line: string): LoggedRequest | undefined {
  const found = text.exec(line);
  if (found === null) return undefined;
  const [, method, path, status, flags, details, duration, id, authority, destination, source] = found;
  return request({ method, path, status, flags, details, duration, id, authority, destination, source });
}

function ofJson(line: string): LoggedRequest | undefined {
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(line) as typeof fields;
  } catch {
    return undefined;
  }
  // Ours has the first line of a request as one field, Istio's as three.
  const [method, path] = typeof fields['request'] === 'string' ? fields['request'].split(' ') : [];
  return request({
    method: method ?? fields['method'],
    path: path ?? fields['path'],
    status: fields['response_code'],
    flags: fields['response_flags'],
    details: fields['response_code_details'],
    duration: fields['duration'],
    id: fields['request_id'],
    authority: fields['authority'],
    destination: fields['downstream_local_address'],
    source: fields['downstream_remote_address'],
  });
}

function request(fields: Readonly<Record<keyof LoggedRequest, unknown>>): LoggedRequest | undefined {
  /** What is not known is a dash in text, and absent in JSON. */
  const said = (value: unknown) => (value === '-' || value === undefined || value === null ? '' : String(value));
  const { status, duration, ...rest } = fields;
  const read = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, said(value)])) as Omit<
    LoggedRequest,
    'status' | 'duration'
  >;
  if (read.method === '' || read.source === '' || read.destination === '' || !Number.isInteger(Number(status)))
    return undefined;
  return { ...read, status: Number(status), duration: Number(duration) || 0 };
}
