import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BadInputError } from '#/lib/errors.ts';
import { Labels } from './labels.ts';
import { compileRelabeling } from './relabel.ts';
import type { RelabelConfig } from './relabel.ts';

const input = { a: 'foo', b: 'bar', c: 'baz', __meta_x: 'm' };

function relabel(
  configs: readonly RelabelConfig[],
  labels: Readonly<Record<string, string>> = input,
): Record<string, string> | undefined {
  return compileRelabeling(configs)(Labels.fromObject(labels))?.toObject();
}

describe('relabeling', () => {
  test('replaces with groups, by number and by name', () => {
    const replaced = (config: RelabelConfig) =>
      relabel([{ source_labels: ['a', 'b'], target_label: 'd', ...config }])?.['d'];
    assert.equal(replaced({}), 'foo;bar');
    assert.equal(replaced({ separator: '-' }), 'foo-bar');
    assert.equal(replaced({ regex: '(.*);(.*)', replacement: '${2}_$1' }), 'bar_foo');
    assert.equal(replaced({ regex: '(?P<x>f.*);.*', replacement: '$x!${x}' }), 'foo!foo');
    assert.equal(
      replaced({ regex: '(f)(z)?oo;bar', replacement: '<$1|$2|$9|$$|$1x|$>' }),
      '<f|||$||$>',
    );
    assert.equal(replaced({ regex: 'foo' }), undefined);
  });

  test('replaces into a target made of groups, and deletes by an empty replacement', () => {
    assert.deepEqual(
      relabel([
        { source_labels: ['a'], regex: '(f)(.*)', target_label: 'new_$2', replacement: '$1' },
      ]),
      { ...input, new_oo: 'f' },
    );
    assert.deepEqual(relabel([{ target_label: 'a', replacement: '' }])?.['a'], undefined);
    assert.deepEqual(relabel([{ target_label: 'z', replacement: 'set' }])?.['z'], 'set');
    assert.deepEqual(relabel([{ source_labels: ['none'], target_label: 'a' }])?.['a'], undefined);
  });

  test('keeps and drops whole sets', () => {
    assert.deepEqual(relabel([{ source_labels: ['a'], regex: 'f.*', action: 'keep' }]), input);
    assert.equal(relabel([{ source_labels: ['a'], regex: 'f', action: 'keep' }]), undefined);
    assert.equal(relabel([{ source_labels: ['a'], regex: 'foo|x', action: 'DROP' }]), undefined);
    assert.deepEqual(
      relabel([{ source_labels: ['a'], target_label: 'b', action: 'dropequal' }]),
      input,
    );
    assert.equal(
      relabel([{ source_labels: ['a'], target_label: 'b', action: 'keepequal' }]),
      undefined,
    );
    assert.equal(
      relabel([
        { source_labels: ['a'], regex: 'foo', action: 'drop' },
        { target_label: 'never', replacement: 'reached' },
      ]),
      undefined,
    );
  });

  test('hashes as Prometheus does', () => {
    const hashmod = (labels: Record<string, string>, modulus: number) =>
      relabel(
        [{ source_labels: Object.keys(labels), modulus, target_label: 'h', action: 'hashmod' }],
        labels,
      )?.['h'];
    // md5("foo") = acbd18db4cc2f85c edef654fccc4a4d8
    assert.equal(hashmod({ a: 'foo' }, 1000), String(0xedef654fccc4a4d8n % 1000n));
    assert.equal(hashmod({ a: 'foo', b: 'bar' }, 1000), String(0xddadc4ed9df31f3en % 1000n));
  });

  test('maps, drops and keeps names, changes case', () => {
    assert.deepEqual(relabel([{ regex: '__meta_(.*)', action: 'labelmap' }]), { ...input, x: 'm' });
    assert.deepEqual(relabel([{ regex: '__meta_.*|a', action: 'labeldrop' }]), {
      b: 'bar',
      c: 'baz',
    });
    assert.deepEqual(relabel([{ regex: 'a|b', action: 'labelkeep' }]), { a: 'foo', b: 'bar' });
    assert.equal(
      relabel([{ source_labels: ['a'], target_label: 'a', action: 'uppercase' }])?.['a'],
      'FOO',
    );
    assert.equal(
      relabel([{ source_labels: ['a'], target_label: 'u', action: 'lowercase' }], { a: 'Ä' })?.[
        'u'
      ],
      'ä',
    );
  });

  test('matches across lines and takes UTF-8 names', () => {
    assert.equal(
      relabel([{ source_labels: ['a'], regex: 'x.y', action: 'drop' }], { a: 'x\ny' }),
      undefined,
    );
    assert.deepEqual(relabel([{ target_label: 'ünï.code', replacement: '1' }], {}), {
      'ünï.code': '1',
    });
  });

  test('refuses rules that contradict themselves', () => {
    const refused: [RelabelConfig, RegExp][] = [
      [{ action: 'kep' }, /rule 1: unknown action "kep"; use one of replace, keep/],
      [{ action: 'hashmod', target_label: 'a' }, /hashmod requires a non-zero modulus/],
      [{ source_labels: ['a'] }, /replace requires a target_label/],
      [{ regex: '(', action: 'keep' }, /regex "\(" does not compile/],
      [{ action: 'labeldrop', regex: 'a', source_labels: ['b'] }, /labeldrop takes only a regex/],
      [{ action: 'keepequal', target_label: 'a', regex: 'x' }, /takes only source_labels/],
      [{ action: 'lowercase', target_label: 'a', replacement: 'x' }, /replacement cannot be set/],
    ];
    for (const [config, message] of refused) {
      assert.throws(
        () => compileRelabeling([config]),
        (thrown: Error) => {
          return thrown instanceof BadInputError && message.test(thrown.message);
        },
      );
    }
  });
});
