/** The HTTP filter that asks a module of a user's (`common/envoy/script.ts`). */
import { scriptConfig } from '../../../common/envoy/script.ts';
import type { Headers } from '../../request/headers.ts';
import {
  type FilterContext,
  type FilterKind,
  goOn,
  type HttpFilter,
  type LocalReply,
  type Verdict,
} from '../filter.ts';
import { type Change, type Outcome, readOutcome, requestCall, responseCall } from './call.ts';
import type { RunningScript, ScriptHost } from './host.ts';
import { largestModule } from './limits.ts';
import type { CallResult } from './result.ts';

export const scriptFilter: FilterKind = {
  type: `type.googleapis.com/${scriptConfig}`,
  read(fields, env) {
    const name = fields.text('name');
    const source = fields.text('source');
    const failOpen = fields.flag('fail_open');
    const config = fields.text('config') || '{}';
    // Who was told which module runs, by its hash, reads it there.
    fields.harmless('sha256');
    if (!/^[a-z0-9][a-z0-9./-]*$/.test(name)) fields.mistake('name', 'has to be kind/namespace/name in lower case');
    if (source.length > largestModule) fields.mistake('source', `is longer than ${largestModule} characters`);
    if (!isJson(config)) fields.mistake('config', 'is no JSON');
    if (source === '') fields.mistake('source', 'is empty');
    if (fields.mistakes.length > 0) return { onRequest: () => goOn };
    const { scripts } = env;
    const metricName = name.replaceAll('.', '_');
    return filterOf(metricName, scripts.use(metricName, { source, config }), scripts, failOpen);
  },
};

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function filterOf(name: string, script: RunningScript, scripts: ScriptHost, failOpen: boolean): HttpFilter {
  /** undefined: it failed, and so does the request. */
  const taken = (result: CallResult): Outcome | undefined => {
    const outcome = result.kind === 'outcome' ? readOutcome(result.raw) : undefined;
    if (!outcome) {
      scripts.count(name, `failed.${result.kind === 'failed' ? result.cause : 'bad'}`);
      return undefined;
    }
    for (const { name: metric, labels, n } of outcome.metrics) scripts.measure(metric, labels, n);
    for (const [level, text] of outcome.lines) scripts.line(name, level, text);
    if (outcome.error === undefined) return outcome;
    scripts.count(name, 'failed.threw');
    scripts.line(name, 'warn', outcome.error);
    return undefined;
  };
  return {
    onRequest(view, context) {
      if (!script.handles.request) return goOn;
      const text = requestCall(view, context);
      return {
        kind: 'ask',
        ask: (done) =>
          script.call(text, (result) => {
            const outcome = taken(result);
            if (outcome) scripts.count(name, 'calls');
            done(outcome ? applied(outcome, view, context) : failOpen ? goOn : failedReply);
          }),
      };
    },
    onResponse(view, response, context) {
      const changes = context.recall() as readonly Change[] | undefined;
      if (changes) change(response.headers, changes);
      if (script.handles.response) script.call(responseCall(view, response), (result) => void taken(result));
    },
  };
}

const failedReply: LocalReply = { kind: 'reply', status: 503, headers: [], body: '', details: 'script_failed' };

function applied(outcome: Outcome, view: Parameters<HttpFilter['onRequest']>[0], context: FilterContext): Verdict {
  if (outcome.response.length > 0) context.remember(outcome.response);
  const { answer } = outcome;
  if (answer) return { kind: 'reply', ...answer, details: 'script_answered' };
  change(view.headers, outcome.request);
  if (outcome.authority !== undefined) view.authority = outcome.authority;
  if (outcome.path !== undefined) view.path = outcome.path;
  if (outcome.reroute) context.clearRoute();
  return goOn;
}

function change(headers: Headers, changes: readonly Change[]): void {
  for (const one of changes) {
    if (one.kind === 'remove') headers.remove(one.name);
    else headers[one.kind](one.name, one.value);
  }
}
