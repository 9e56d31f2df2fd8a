import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Format, FormatContext } from '../format/format.ts';
import { forgetText, textOf } from './log-texts.ts';

const context = (name: string) => ({ request: { authority: name } }) as FormatContext;

describe('texts of logs', () => {
  let made = 0;
  const format = (text: string): Format => ({
    text,
    render: ({ request }, missing) => `${text} ${request.authority} ${missing} ${++made}`,
  });

  it('are made once for all logs of one format, and anew for each request, each format and each telling', () => {
    made = 0;
    const [file, collector, empty, other] = [
      textOf(format('x'), '-'),
      textOf(format('x'), '-'),
      textOf(format('x'), ''),
      textOf(format('y'), '-'),
    ];
    const [a, b] = [context('a'), context('b')];
    assert.deepEqual([file(a), collector(a)], ['x a - 1', 'x a - 1']);
    assert.deepEqual([empty(a), other(a), file(b)], ['x a  2', 'y a - 3', 'x b - 4']);
    forgetText();
    assert.equal(file(b), 'x b - 5');
    forgetText();
  });

  it('have ids of their own', () => {
    made = 0;
    const [file, collector] = [textOf(format('%UNIQUE_ID%'), '-'), textOf(format('%UNIQUE_ID%'), '-')];
    const a = context('a');
    assert.notEqual(file(a), collector(a));
  });
});
