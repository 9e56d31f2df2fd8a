/** Relays of the native engine go to another process with all that the loop knows of them. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { keepAlive } from '../../../common/hbone/session.ts';
import { type EngineLoop, type Handle, nameOf } from '../../../native/engine.ts';
import { closeFd } from '../../../native/index.ts';
import type { MovedTunnel } from '../../handover/unit.ts';
import type { Carrier, FrozenCarrier, HandOver, RelayEnds, RestoredCarrier, Unmoved } from '../hand-over.ts';
import { BegunRelay } from './begun-relay.ts';
import { http2Code, NativeStream } from './stream.ts';
import { Tunnel, TunnelStream } from './tunnel.ts';
import { freeze, restore } from './unit.ts';

/** `abi`: of the addon. `forget`: no plan begins anything from that call on. */
export function nativeHandOver(loop: EngineLoop, abi: string, forget: () => void, clock: Clock): HandOver {
  const carriers = new WeakMap<Tunnel, Carrier>();
  return {
    version: createHash('sha256').update(abi).digest('hex').slice(0, 16),
    carrierOf(ends) {
      const relay = relayOf(ends);
      if (typeof relay === 'string') return relay;
      const { tunnel } = relay;
      if (!tunnel) return carrierOf(loop, relay.handle, undefined, forget);
      let carrier = carriers.get(tunnel);
      if (!carrier) {
        carrier = carrierOf(loop, tunnel.handle, tunnel, forget);
        carriers.set(tunnel, carrier);
      }
      return carrier;
    },
    async restore(state, sockets, facts) {
      const restored = await restore(loop, state, sockets);
      if (restored.kind === 'unreadable') throw new MeshError('PROTOCOL', restored.reason);
      const tags = restored.relays.map((relay) => nameOf(relay.was));
      const goLive: RestoredCarrier['goLive'] = (watch) => {
        const tunnel = restored.tunnel && adopt(loop, restored.tunnel, facts, clock, watch);
        const relays = restored.relays.map(({ was, downstream, counters }) => {
          const relay = new BegunRelay(loop, downstream, counters, { port: 0, traceparent: undefined }, true);
          if (tunnel) relay.released = tunnel.begun(relay);
          return [nameOf(was), relay] as const;
        });
        restored.goLive();
        tunnel?.close();
        return new Map(relays);
      };
      return { tags, goLive, discard: () => restored.discard() };
    },
  };
}

/** One relay in the loop, however it came about. */
interface LoopRelay {
  /** Of its downstream. */
  readonly handle: Handle;
  readonly handles: readonly Handle[];
  readonly tunnel: Tunnel | undefined;
  moved(): void;
}

function relayOf(ends: RelayEnds): LoopRelay | string {
  if (ends instanceof BegunRelay) {
    const { handle, tunnel } = ends;
    return { handle, handles: [handle], tunnel, moved: () => ends.moved() };
  }
  if (!('downstream' in ends)) return 'its bytes go through JavaScript';
  const { downstream, upstream } = ends;
  if (!(downstream instanceof NativeStream && upstream instanceof NativeStream && downstream.isRelayed)) {
    return 'its bytes go through JavaScript';
  }
  const tunnel = [downstream, upstream].find((end) => end instanceof TunnelStream)?.tunnel;
  return {
    handle: downstream.handle,
    handles: [downstream.handle, upstream.handle],
    tunnel,
    moved: () => downstream.moved(),
  };
}

function carrierOf(loop: EngineLoop, handle: Handle, tunnel: Tunnel | undefined, forget: () => void): Carrier {
  return {
    tunnel: tunnel?.facts,
    noMore: () => tunnel?.close(),
    async freeze(ends): Promise<FrozenCarrier | Unmoved> {
      const relays = ends.map(relayOf);
      const known = relays.filter((relay) => typeof relay !== 'string');
      if (known.length < relays.length || known.length === 0) {
        return { unmoved: 'its connections have just ended' };
      }
      forget();
      const held = new Map(known.map((relay) => [nameOf(relay.handle), { relay, commands: loop.hold(relay.handles) }]));
      const ownCommands = loop.hold([handle]);
      const goOn = () => {
        ownCommands.goOn();
        for (const { commands } of held.values()) commands.goOn();
      };
      const frozen = await freeze(loop, handle);
      if (frozen.kind !== 'frozen') {
        goOn();
        const { kind, reason } = frozen;
        return kind === 'unmoved' ? { unmoved: reason } : { lacksDescriptors: reason };
      }
      const close = () => [frozen.state, ...frozen.sockets].forEach(closeFd);
      const thaw = () => {
        close();
        frozen.thaw();
        goOn();
      };
      const tags = new Set(frozen.relays.map((relay) => nameOf(relay.downstream)));
      if (![...tags].every((tag) => held.has(tag))) {
        thaw();
        return { unmoved: 'connections have begun on it meanwhile' };
      }
      // Those that have ended, or only their stream has: they do not move with the tunnel.
      for (const [tag, { commands }] of held) {
        if (tags.has(tag)) continue;
        commands.goOn();
        held.delete(tag);
      }
      return {
        fds: [frozen.state, ...frozen.sockets],
        tagOf(of) {
          const relay = relayOf(of);
          const tag = typeof relay === 'string' ? undefined : nameOf(relay.handle);
          return tag !== undefined && tags.has(tag) ? tag : undefined;
        },
        thaw,
        forget() {
          ownCommands.drop();
          // Their last figures are the loop's until it forgets.
          for (const { relay, commands } of held.values()) {
            commands.drop();
            relay.moved();
          }
          tunnel?.moved();
          close();
          frozen.forget();
        },
      };
    },
  };
}

/** It carries what it carries; whoever wants more is told by GOAWAY to come again, which the successor's listener serves. */
function adopt(
  loop: EngineLoop,
  restored: Handle,
  facts: MovedTunnel | undefined,
  clock: Clock,
  watch: (cut: (error: MeshError) => void) => () => void,
): Tunnel {
  const tunnel: Tunnel = new Tunnel(
    loop,
    { restored },
    {
      handshaken: () => undefined,
      settings: () => undefined,
      request: (stream) => stream.refuseWith(http2Code.refusedStream),
      leaving: () => undefined,
      flooded: () => undefined,
      closed: () => undefined,
    },
  );
  tunnel.facts = facts;
  keepAlive(tunnel, clock, () => tunnel.cut(new MeshError('H2_FAILED', 'the peer answers no PING')));
  tunnel.once(
    'close',
    watch((error) => tunnel.cut(error)),
  );
  return tunnel;
}
