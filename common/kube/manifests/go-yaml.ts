/**
 * Plain scalars as kubectl and Kubernetes' API server read them (sigs.k8s.io/yaml on go.yaml.in/yaml/v2): YAML 1.2, and of 1.1 what it
 * dropped. `0644` is octal, `yes` and `off` are booleans, `1_000` is a number. Keys stay as they are written. Pure.
 */
import type { ScalarTag, Tags } from 'yaml';

const bool: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/,
  resolve: (text) => /^(?:y|on)/i.test(text),
};

/** With a prefix, or a zero in front. Where 8 and 9 follow the zero it is a number like any other. */
const int: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^[-+]?0(?:_*[0-7][0-7_]*|[oO]_*[0-7][0-7_]*|[xX]_*[\da-fA-F][\da-fA-F_]*|[bB]_*[01][01_]*)$/,
  resolve: (text) => {
    const digits = text.replace(/[-+_]/g, '').toLowerCase();
    return (text.startsWith('-') ? -1 : 1) * Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
  },
};

const decimalWithGaps: ScalarTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  test: /^(?=.*_)[-+]?\d[\d_]*(?:\.[\d_]*)?(?:[eE][-+]?\d+)?$/,
  resolve: (text) => Number(text.replaceAll('_', '')),
};

/** Options for `yaml`'s parsers. */
export const goYaml = {
  stringKeys: true,
  merge: true,
  customTags: (tags: Tags): Tags => [bool, int, decimalWithGaps, ...tags],
};
