import { pino } from 'pino';
import { messageOf } from '#/lib/errors.ts';
import type { Log, LogFields, LogLevel } from './logger.ts';

export type LogFormat = 'logfmt' | 'json';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Where lines go; standard error by default. */
  readonly write?: (line: string) => void;
}

/** The log of a process: one line an event, with `ts`, `level`, `msg` and the fields. */
export function openLog({ level, format, write = toStandardError }: LogOptions): Log {
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'msg',
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: messageWithCauses },
    },
    { write: (line: string) => write(format === 'json' ? line : logfmt(line)) },
  );
  return wrap(logger);
}

interface Sink {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Sink;
}

function wrap(logger: Sink): Log {
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
    with: (fields) => wrap(logger.child(fields)),
  };
}

function toStandardError(line: string): void {
  process.stderr.write(line);
}

/** `upload failed: connection refused`: an error's message and those of its causes. */
function messageWithCauses(thrown: unknown): string {
  const messages: string[] = [];
  for (let error = thrown; error !== undefined;) {
    messages.push(messageOf(error));
    error = error instanceof Error ? error.cause : undefined;
  }
  return messages.join(': ');
}

/** One pino record as `key=value` pairs, in the order of Thanos's logs. */
function logfmt(record: string): string {
  const { ts, level, msg, ...fields } = JSON.parse(record) as Record<string, unknown>;
  const pairs = Object.entries({ ts, level, msg, ...fields });
  return `${pairs.map(([key, value]) => `${key}=${logfmtValue(value)}`).join(' ')}\n`;
}

function logfmtValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /[\s"=]/.test(text) || text === '' ? JSON.stringify(text) : text;
}
