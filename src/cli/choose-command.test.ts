import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chooseCommand } from './choose-command.ts';
import { command } from './command.ts';
import { flag } from './flags.ts';

const named = (name: string) =>
  command(
    {
      name,
      summary: '',
      flags: {
        config: flag.text({ help: '', default: '', short: 'c' }),
        dry: flag.toggle({ help: '', default: false }),
      },
      planned: [],
    },
    () => Promise.resolve(0),
  );
const commands = ['store', 'tools', 'tools bucket ls', 'tools bucket inspect'].map(named);

function choose(line: string) {
  const choice = chooseCommand(commands, line.split(' '));
  const args = choice.args.join(' ');
  return choice.kind === 'command'
    ? { command: choice.command.name, args }
    : { group: choice.group, args, problem: choice.problem };
}

describe('chooseCommand()', () => {
  test('takes the longest name there is', () => {
    assert.deepEqual(choose('store --dry x'), { command: 'store', args: '--dry x' });
    assert.deepEqual(choose('tools bucket ls -c x'), { command: 'tools bucket ls', args: '-c x' });
  });

  test('leaves arguments that are no words of a name to the command', () => {
    assert.deepEqual(choose('tools promql up'), { command: 'tools', args: 'promql up' });
  });

  test('lets flags stand between the words', () => {
    const whole = { command: 'tools bucket ls', args: '--config x --dry' };
    assert.deepEqual(choose('tools bucket --config x ls --dry'), whole);
    assert.deepEqual(choose('tools --config x bucket ls --dry'), whole);
    assert.deepEqual(choose('tools bucket --config=x ls'), {
      command: 'tools bucket ls',
      args: '--config=x',
    });
    assert.deepEqual(choose('tools bucket -c x ls'), { command: 'tools bucket ls', args: '-c x' });
    assert.deepEqual(choose('tools bucket --dry ls'), {
      command: 'tools bucket ls',
      args: '--dry',
    });
  });

  test('tells a group from a name that is none', () => {
    assert.deepEqual(choose('tools bucket --help'), {
      group: 'tools bucket',
      args: '--help',
      problem: undefined,
    });
    assert.deepEqual(choose('tools bucket inspekt'), {
      group: 'tools bucket',
      args: 'inspekt',
      problem: 'unknown command "tools bucket inspekt"; did you mean inspect?',
    });
    assert.equal(
      choose('frobnicate').problem,
      'unknown command "frobnicate"; use one of store, tools',
    );
  });
});
