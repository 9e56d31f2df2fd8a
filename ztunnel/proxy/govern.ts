/** Puts an inbound connection under the policies: registered first, decided then, asked again on every push. */
import type { SocketAddr } from '../../common/core/net.ts';
import type { Seat } from '../../common/core/roster.ts';
import { type InboundDecision, type InboundQuestion, policyDenial } from './decide-inbound.ts';
import { Permit } from './permit.ts';
import type { ProxyRuntime } from './runtime.ts';

export interface Governance {
  readonly permit: Permit;
  /** Registers the connection and takes the first decision, in one turn: no push falls between them. */
  decide(question: InboundQuestion, decide: () => InboundDecision): InboundDecision;
  /** As `decide`, of one that was decided with others; `stale`: it is asked again now, as open ones are on a push. */
  inherit(question: InboundQuestion, target: SocketAddr, stale: boolean): void;
  /** The connection is over. */
  release(): void;
}

export function govern(runtime: ProxyRuntime): Governance {
  const permit = new Permit();
  let seat: Seat | undefined;
  return {
    permit,
    decide(question, decide) {
      let target: SocketAddr | undefined;
      const denied = () => target && policyDenial(runtime.store, question, target);
      seat = runtime.registry.register({ permit, denied });
      const decision = decide();
      if (decision.kind === 'forward') target = decision.target;
      else if (decision.cause.kind === 'policy') runtime.policyLog(decision.reason);
      return decision;
    },
    inherit(question, target, stale) {
      const denied = () => policyDenial(runtime.store, question, target);
      const { registry } = runtime;
      seat = stale ? registry.registerStale({ permit, denied }) : registry.register({ permit, denied });
    },
    release() {
      if (seat !== undefined) runtime.registry.release(seat);
    },
  };
}
