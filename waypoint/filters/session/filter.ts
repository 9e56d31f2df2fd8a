/**
 * envoy.extensions.filters.http.stateful_session.v3: requests of one session go to one host, which the client names by a cookie or
 * header that the answer before gave to it.
 */
import { typeUrl } from '../../../common/envoy/codec.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { addressText } from '../../cluster/compile/address.ts';
import { type FilterContext, type FilterKind, goOn, type HttpFilter, mostSpecific } from '../filter.ts';
import { readSessionState, type SessionState } from './state.ts';

/** `state` undefined: there are no sessions. */
interface Sessions {
  readonly state: SessionState | undefined;
  /** Requests of hosts that cannot be had are refused. */
  readonly strict: boolean;
}

const messages = 'envoy.extensions.filters.http.stateful_session.v3';

export const sessionFilter: FilterKind = {
  type: typeUrl(`${messages}.StatefulSession`),
  read(fields) {
    const own = readSessions(fields);
    const filter: HttpFilter = {
      onRequest(view, context) {
        const { state, strict } = mostSpecific<Sessions>(context) ?? own;
        if (state?.concerns(view) !== true) return goOn;
        const address = state.read(view, context.now());
        context.remember({ state, address });
        if (address !== undefined) context.preferHost({ key: address, strict });
        return goOn;
      },
      onResponse(_view, response, context) {
        const kept = context.recall() as { readonly state: SessionState; readonly address: string | undefined };
        const host = kept && upstreamOf(context);
        if (host !== undefined && host !== kept.address) kept.state.write(response.headers, host, context.now());
      },
    };
    return filter;
  },
  perRoute: {
    type: typeUrl(`${messages}.StatefulSessionPerRoute`),
    read(fields): Sessions {
      switch (fields.which('disabled', 'stateful_session')) {
        case 'disabled':
          if (!fields.flag('disabled')) throw fields.refusal('disabled', 'is false, which says nothing');
          return { state: undefined, strict: false };
        case 'stateful_session':
          return fields.required('stateful_session', readSessions);
        case undefined:
          throw fields.refusal('override', 'is missing');
      }
    },
  },
};

function readSessions(fields: Fields): Sessions {
  const strict = fields.flag('strict');
  const state = fields.read('session_state', (f) => {
    f.harmless('name');
    return f.required('typed_config', readSessionState);
  });
  return { state, strict };
}

function upstreamOf({ format }: FilterContext): string | undefined {
  const { upstreamHost } = format.facts;
  return upstreamHost && addressText(upstreamHost);
}
