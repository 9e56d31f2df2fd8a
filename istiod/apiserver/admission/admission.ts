/** What may change or refuse a write after it is decoded and before it is stored. */
import type { User } from '../authn/authenticator.ts';
import type { ApiObject } from '../objects.ts';
import type { Resource } from '../resources/resource.ts';

export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly resource: Resource;
  /** Empty: the object itself. */
  readonly subresource: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  /** May be empty at a creation with generateName. */
  readonly name: string;
  /** After the write; of a deletion undefined. Plug-ins of `mutate` change it in place. */
  readonly object: ApiObject | undefined;
  readonly old: ApiObject | undefined;
  /** The request's options: CreateOptions and the like. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly user: User;
  readonly dryRun: boolean;
  /** Text that the client shows beside its answer. */
  readonly warn: (text: string) => void;
}

/** Refuses by throwing ApiError. Runs anew when the object changed meanwhile. */
export interface AdmissionPlugin {
  readonly name: string;
  readonly mutate?: (request: AdmissionRequest) => void | Promise<void>;
  readonly validate?: (request: AdmissionRequest) => void | Promise<void>;
}

/** In their order: first all that mutate, later, when the object is final, all that validate. */
export class Admission {
  readonly #plugins: readonly AdmissionPlugin[];

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) await plugin.mutate?.(request);
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) await plugin.validate?.(request);
  }
}
