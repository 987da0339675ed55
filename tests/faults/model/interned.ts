/** Maps equal values to one number. The values are never changed. */
export class Interned<T> {
  readonly #numbers = new Map<string, number>();
  readonly #things: T[] = [];

  numberOf(thing: T): number {
    const text = JSON.stringify(thing);
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#things.push(thing) - 1;
      this.#numbers.set(text, number);
    }
    return number;
  }

  at(number: number): T {
    const thing = this.#things[number];
    if (thing === undefined) throw new Error(`nothing has the number ${number}`);
    return thing;
  }
}
