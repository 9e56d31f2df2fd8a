/** `0644` in a manifest is octal for kubectl, which reads YAML 1.1; version 1.2 would take it for decimal. */
import type { ScalarTag } from 'yaml';

export const octalNumbers: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^[-+]?0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};
