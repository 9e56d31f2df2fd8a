/** Texts that end up in Envoy's configuration: one that it does not understand makes it refuse all routes of the service. */
import type { Field } from '../finding.ts';
import { quote } from './values.ts';

/** Of headers. */
const mostBytes = 16_384;

/** A value of a header: `%NAME%`, `%NAME(arguments)%` or `%NAME(arguments):10%` are put in by the proxy, and `%%` is `%`. */
export function checkFormat(value: string, field: Field): void {
  checkLine(value, field);
  if (Buffer.byteLength(value) > mostBytes) field.error(`is longer than ${mostBytes} bytes, which proxies refuse`);
  let rest = value;
  for (let at = rest.indexOf('%'); at >= 0; at = rest.indexOf('%')) {
    rest = rest.slice(at);
    if (rest.startsWith('%%')) {
      rest = rest.slice(2);
      continue;
    }
    const [command] = /^%[A-Z][A-Z0-9_]*(\([^)]*\))?(:\d+)?%/.exec(rest) ?? [];
    if (command === undefined) {
      field.error(
        `${quote(rest)} is no command of the proxy, as everything behind "%" is`,
        'write %% for "%", or a command such as %REQ(x-a)%',
      );
      return;
    }
    rest = rest.slice(command.length);
  }
}

/** Goes into a line of a request or answer. */
export function checkLine(value: string | undefined, field: Field): void {
  if (value !== undefined && /[\r\n\0]/.test(value)) field.error('a value has no line breaks');
}

/** What Envoy 1.40 knows. */
const conditions = [
  ...['5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'envoy-ratelimited'],
  ...['retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers', 'http3-post-connect-failure'],
  ...['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'],
];

/** Conditions and status codes with commas between. Envoy itself takes no notice of words that it does not know. */
export function checkRetryOn(text: string | undefined, field: Field): void {
  for (const part of (text ?? '').split(',').map((p) => p.trim())) {
    if (part === '' || conditions.includes(part) || /^[1-5]\d\d$/.test(part)) continue;
    field.error(`${quote(part)} is no condition of retries`, `expected status codes, or ${conditions.join(', ')}`);
  }
}
