import type { HttpRequest, Route } from '#/http/server.ts';
import type { Expression } from '#/promql/ast.ts';
import { parseExpression, stableFeatures } from '#/promql/parser.ts';
import type { ParserFeatures } from '#/promql/parser.ts';
import { formatExpression } from '#/promql/printer.ts';
import { apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';
import { expressionJson } from './format/ast-json.ts';
import { prefixed } from './query-api.ts';

/**
 * `/api/v1/format_query` and `/api/v1/parse_query`: an expression laid out for people, and its tree.
 * Neither touches any data. Prometheus 3 has them; its UI and editors ask for them.
 */
export function formatRoutes(features: ParserFeatures = stableFeatures): Route[] {
  const route = (name: string, answer: (expression: Expression) => unknown) =>
    apiRoute(['GET', 'POST'], `/${name}`, name, (request): Promise<ApiResult> => {
      return Promise.resolve().then(() => ({ data: answer(parsedQuery(request, features)) }));
    });
  return [route('format_query', formatExpression), route('parse_query', expressionJson)];
}

function parsedQuery({ params }: HttpRequest, features: ParserFeatures): Expression {
  const text = params.text('query');
  return prefixed('invalid parameter "query": ', () => parseExpression(text, features));
}
