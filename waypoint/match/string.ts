/** envoy.type.matcher.v3.StringMatcher. */
import type { Fields } from '../../common/envoy/fields.ts';
import { readRegex } from './regex.ts';

export type StringTest = (value: string) => boolean;

export function readString(fields: Fields): StringTest {
  const folds = fields.flag('ignore_case');
  const which = fields.which('exact', 'prefix', 'suffix', 'contains', 'safe_regex', 'custom');
  const text = (name: string) => {
    const value = fields.text(name);
    if (value === '' && name !== 'exact') throw fields.refusal(name, 'is empty');
    return folds ? fold(value) : value;
  };
  const folded = (test: StringTest): StringTest => (folds ? (value) => test(fold(value)) : test);
  switch (which) {
    case 'exact': {
      const wanted = text(which);
      return folded((value) => value === wanted);
    }
    case 'prefix': {
      const wanted = text(which);
      return folded((value) => value.startsWith(wanted));
    }
    case 'suffix': {
      const wanted = text(which);
      return folded((value) => value.endsWith(wanted));
    }
    case 'contains': {
      const wanted = text(which);
      return folded((value) => value.includes(wanted));
    }
    case 'safe_regex': {
      if (folds) throw fields.refusal('ignore_case', 'has no meaning for safe_regex: write (?i) into it');
      const regex = fields.required(which, readRegex);
      return (value) => regex.matches(value);
    }
    case 'custom':
      throw fields.unsupported(which);
    case undefined:
      throw fields.refusal('match_pattern', 'is missing');
  }
}

/** Only ASCII, as Envoy: no letter outside of it may become one of a host or path. */
function fold(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
