/** A ztunnel as the agent sees it, that does what a test says: by default it steers every pod and acks. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync } from 'node:fs';
import type { SteeringTargets } from '../../cni/capture/types.ts';
import { type Fd, fd } from '../../common/core/brand.ts';
import { until } from '../../common/testing/until.ts';
import { decodeRequest, encodeAck, encodeHello } from '../../common/zds/codec.ts';
import { decodeSteerAck, encodeSteering } from '../../common/zds/steering.ts';
import type { SteerPod, ZdsRequest } from '../../common/zds/types.ts';
import { type SeqpacketConnection, seqpacketConnect } from '../../native/index.ts';

export class ScriptedZtunnel {
  readonly received: (ZdsRequest & { readonly fds: number })[] = [];
  closed = false;
  readonly zds: SeqpacketConnection;
  readonly #steering: SeqpacketConnection | undefined;
  readonly #steered = new Map<number, (error: string) => void>();
  readonly #steeringClosed: Promise<string>;
  #nextId = 1;
  /** Error of the ack to each add; `silent` does not answer at all. The descriptor is closed afterwards. */
  onAdd: (uid: string, netns: Fd) => Promise<string | 'silent'> = (uid) => this.steer(uid);

  /** `mute` says nothing at first. */
  constructor(zdsPath: string, hello: Uint8Array | 'mute' = encodeHello()) {
    this.zds = seqpacketConnect(zdsPath);
    // Absent where the ports of the proxy are fixed.
    this.#steering = existsSync(`${zdsPath}.steer`) ? seqpacketConnect(`${zdsPath}.steer`) : undefined;
    this.zds.onClose(() => {
      this.closed = true;
    });
    this.#steeringClosed = new Promise((resolve) => this.#steering?.onClose(() => resolve('closed')));
    this.#steering?.onPacket(({ data }) => {
      const ack = decodeSteerAck(data);
      assert.ok(ack.kind === 'ok');
      this.#steered.get(ack.value.id)?.(ack.value.error);
    });
    this.zds.onPacket(async ({ data, fds }) => {
      const request = decodeRequest(data);
      assert.ok(request.kind === 'ok', 'the agent sends what can be read');
      this.received.push({ ...request.value, fds: fds.length });
      const error = request.value.kind === 'add' ? await this.onAdd(request.value.uid, fds[0]!) : '';
      for (const received of fds) closeSync(received);
      if (error !== 'silent') this.zds.send(encodeAck({ error }));
    });
    if (hello !== 'mute') this.zds.send(hello);
  }

  /** Resolves with the agent's answer, or `closed`. Without targets they are `count` descriptors of /dev/null. */
  async steer(uid: string, targets?: SteeringTargets, count = 4): Promise<string> {
    const ports = { v4: 40001, v6: 40002 };
    const { outbound = ports, dnsUdp = ports, dnsTcp = ports, listeners } = targets ?? {};
    const id = this.#nextId++;
    const packet: SteerPod = { kind: 'steer', id, uid, outbound, dnsUdp, dnsTcp };
    const answered = new Promise<string>((resolve) => this.#steered.set(id, resolve));
    if (listeners !== undefined) {
      const { plaintext4, plaintext6, hbone4, hbone6 } = listeners;
      this.#steering!.send(encodeSteering(packet), [plaintext4, plaintext6, hbone4, hbone6]);
    } else {
      const files = Array.from({ length: count }, () => fd(openSync('/dev/null', 'r')));
      this.#steering!.send(encodeSteering(packet), files);
      for (const file of files) closeSync(file);
    }
    return Promise.race([answered, this.#steeringClosed]);
  }

  /** `add u1`, `keep u2`, `snapshotSent`, ... */
  get log(): string[] {
    return this.received.map((r) => ('uid' in r ? `${r.kind} ${r.uid}` : r.kind));
  }

  has(entry: string): Promise<unknown> {
    return until(`ztunnel receives ${entry}`, () => this.log.includes(entry));
  }

  close(): void {
    this.zds.close();
    this.#steering?.close();
  }
}
