/** A UUID of version 7. Not crypto.randomUUID, which only secure contexts have. */
export function newOrderId(): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  let ms = Date.now();
  for (let i = 5; i >= 0; i--) {
    b[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  b[6] = (b[6]! & 0x0f) | 0x70;
  b[8] = (b[8]! & 0x3f) | 0x80;
  const hex = Array.from(b, (n) => n.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * Intent is one order id, kept in sessionStorage before the order is sent, so that a double click, a lost answer or a
 * reload sends the same id again and never buys twice.
 */
export class Intent {
  private memory: { id: string; sent: boolean } | undefined;

  constructor(private readonly key: string) {}

  /** The id, made and kept at the first call. */
  id(): string {
    const kept = this.load();
    if (kept) return kept.id;
    const made = { id: newOrderId(), sent: false };
    this.save(made);
    return made.id;
  }

  /** The id of an order that may have reached the sidecar. */
  pending(): string | undefined {
    const kept = this.load();
    return kept?.sent ? kept.id : undefined;
  }

  markSent(): void {
    this.save({ id: this.id(), sent: true });
  }

  clear(): void {
    this.memory = undefined;
    try {
      sessionStorage.removeItem(this.key);
    } catch {
      // storage is off: memory was all there was
    }
  }

  private load(): { id: string; sent: boolean } | undefined {
    if (this.memory) return this.memory;
    try {
      const kept: unknown = JSON.parse(sessionStorage.getItem(this.key) ?? "null");
      if (typeof kept === "object" && kept !== null && "id" in kept && typeof kept.id === "string") {
        this.memory = { id: kept.id, sent: "sent" in kept && kept.sent === true };
      }
    } catch {
      // unreadable or switched off
    }
    return this.memory;
  }

  private save(kept: { id: string; sent: boolean }): void {
    this.memory = kept;
    try {
      sessionStorage.setItem(this.key, JSON.stringify(kept));
    } catch {
      // storage is off: a reload forgets, a double click does not
    }
  }
}
