/** Functions and aggregations that the alerts may use. */
const FUNCTIONS = ["time", "rate", "sum", "max", "min", "absent"];
const BINARY = ["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "or", "and", "unless"];
const TOKEN =
  /\s*(==|!=|<=|>=|=~|!~|[<>=+\-*/(){}[\],]|"[^"]*"|\d+(?:\.\d+)?[smhd]?|[A-Za-z_:][\w:]*)/y;

/** The metrics of a PromQL expression, of the part of the language that alerts here need. Throws for any other text. */
export function metricsIn(expr: string): string[] {
  const tokens = tokensOf(expr);
  const metrics: string[] = [];
  let at = 0;
  const peek = () => tokens[at];
  const take = (wanted?: string | RegExp): string => {
    const token = tokens[at++];
    const isWanted = token !== undefined &&
      (wanted === undefined ||
        (typeof wanted === "string" ? token === wanted : wanted.test(token)));
    if (!isWanted) throw new Error(`${expr}: ${token ?? "its end"} in place of ${wanted}`);
    return token;
  };
  const list = (end: string, item: () => void) => {
    while (peek() !== end) {
      item();
      if (peek() !== end) take(",");
    }
    take(end);
  };
  const operand = () => {
    const token = take(/^[\w:("]/);
    if (token === "(") {
      expression();
      take(")");
    } else if (FUNCTIONS.includes(token)) {
      if (peek() === "by") {
        take();
        take("(");
        list(")", () => take(/^[a-z_]/i));
      }
      take("(");
      list(")", expression);
    } else if (/^[a-z_:]/i.test(token) && !BINARY.includes(token)) {
      metrics.push(token);
      if (peek() === "{") {
        take();
        list("}", () => [take(/^[a-z_]/i), take(/^(=|!=|=~|!~)$/), take(/^"/)]);
      }
      if (peek() === "[") [take(), take(/^\d+[smhd]$/), take("]")];
    } else if (!/^\d+(\.\d+)?$/.test(token)) throw new Error(`${expr}: ${token}`);
  };
  const expression = () => {
    operand();
    while (BINARY.includes(peek() ?? "")) {
      take();
      operand();
    }
  };
  expression();
  if (at < tokens.length) throw new Error(`${expr}: ${peek()} after its end`);
  return metrics;
}

function tokensOf(expr: string): string[] {
  const tokens: string[] = [];
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < expr.trimEnd().length;) {
    const [, token] = TOKEN.exec(expr) ?? [];
    if (token === undefined) throw new Error(`${expr}: it can't be read`);
    tokens.push(token);
  }
  return tokens;
}
