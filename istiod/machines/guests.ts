/** Which clients of xDS are machines that join by themselves (ISTIO_META_AUTO_REGISTER_GROUP), and what they say. */
import { status } from '@grpc/grpc-js';
import { type PbStruct, stringField } from '../../common/api/index.ts';
import type { Caller } from '../caller.ts';
import type { Machine } from './entry.ts';
import type { Guest, Registrar } from './registrar.ts';

/** A client of xDS that has said who it is. */
export interface Newcomer {
  /** `type~ip~pod.namespace~domain`. */
  readonly id: string;
  readonly caller: Caller | undefined;
  readonly metadata: PbStruct | null;
  fail(code: status, reason: string): void;
}

export class Guests {
  readonly #registrar: Registrar;
  readonly #guests = new Map<Newcomer, Guest>();

  constructor(registrar: Registrar) {
    this.#registrar = registrar;
  }

  came(client: Newcomer): void {
    const group = stringField(client.metadata, 'AUTO_REGISTER_GROUP') ?? '';
    if (group === '') return;
    if (client.caller === undefined) {
      client.fail(status.UNAUTHENTICATED, 'a machine joins by the port where it says who it is');
      return;
    }
    const machine = machineOf(group, client, client.caller);
    const guest = { machine, refuse: (reason: string) => client.fail(status.FAILED_PRECONDITION, reason) };
    this.#guests.set(client, guest);
    this.#registrar.came(guest);
  }

  went(client: Newcomer): void {
    const guest = this.#guests.get(client);
    if (guest === undefined) return;
    this.#guests.delete(client);
    this.#registrar.went(guest);
  }

  health(client: Newcomer, fault: string | undefined): void {
    const guest = this.#guests.get(client);
    if (guest !== undefined) this.#registrar.health(guest, fault);
  }
}

function machineOf(group: string, { id, metadata }: Newcomer, { namespace, serviceAccount }: Caller): Machine {
  const [first = ''] = (stringField(metadata, 'INSTANCE_IPS') ?? '').split(',');
  return {
    group,
    namespace,
    serviceAccount,
    ip: first === '' ? (id.split('~')[1] ?? '') : first,
    network: stringField(metadata, 'NETWORK') ?? '',
    isProbed: metadata?.fields['PROXY_CONFIG']?.structValue?.fields['readinessProbe'] !== undefined,
  };
}
