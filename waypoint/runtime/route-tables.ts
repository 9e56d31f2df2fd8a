/** Route tables that RDS brings, by name: one that is renewed counts from the next request on. */
import type { RouteTable } from '../route/table.ts';

export class RouteTables {
  readonly #tables = new Map<string, RouteTable>();

  /** undefined: it has not come yet. */
  get(name: string): RouteTable | undefined {
    return this.#tables.get(name);
  }

  set(name: string, table: RouteTable): void {
    this.#tables.set(name, table);
  }

  delete(name: string): void {
    this.#tables.delete(name);
  }
}
