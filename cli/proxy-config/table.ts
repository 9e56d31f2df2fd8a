export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}
