import { Code, ConnectError, createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import {
  CatalogService, OrderService, SubscriptionService,
} from "./gen/hanse/portal/v1/portal_pb.js";
import { ErrorInfoSchema } from "./gen/hanse/type/v1/type_pb.js";
import type { Locale } from "./locale.js";

/** How long before its end a session is replaced. */
const refreshBefore = 60_000;

/** How long a call that is not a stream may take. */
const callTimeout = 30_000;

/** What a page tells its document when somebody has logged in or out and the page has not been loaded again. */
export const sessionChanged = "hanse:session-changed";

interface Session {
  token: string;
  /** When it is replaced, on the clock of performance.now(). */
  refreshAt: number;
}

/** Api calls the portal's storefront at one base address; elements on a page with the same address share one. */
export class Api {
  private static readonly shared = new Map<string, Api>();

  static at(src: string): Api {
    const base = new URL(src.endsWith("/") ? src : src + "/", document.baseURI).href;
    let api = Api.shared.get(base);
    if (!api) Api.shared.set(base, (api = new Api(base)));
    return api;
  }

  readonly catalog: Client<typeof CatalogService>;
  readonly orders: Client<typeof OrderService>;
  readonly subscriptions: Client<typeof SubscriptionService>;

  private session: Session | undefined;
  private minting: Promise<Session> | undefined;

  private constructor(private readonly base: string) {
    const transport = createConnectTransport({
      baseUrl: base + "api",
      useBinaryFormat: false,
      defaultTimeoutMs: callTimeout,
      interceptors: [this.authorize()],
    });
    this.catalog = createClient(CatalogService, transport);
    this.orders = createClient(OrderService, transport);
    this.subscriptions = createClient(SubscriptionService, transport);
    // Before any element hears of it and asks for a token.
    document.addEventListener(sessionChanged, () => this.forget(), { capture: true });
  }

  /** Adds the session token to all but catalog calls, and mints a new one once where it is refused. */
  private authorize(): Interceptor {
    return (next) => async (req) => {
      if (req.service.typeName === CatalogService.typeName) return next(req);
      req.header.set("Authorization", "Bearer " + (await this.token()));
      try {
        return await next(req);
      } catch (err) {
        if (req.stream || ConnectError.from(err).code !== Code.Unauthenticated) throw err;
        this.session = undefined;
        req.header.set("Authorization", "Bearer " + (await this.token()));
        return next(req);
      }
    };
  }

  /** Forgets the session, and the one that is on its way, so that the next call mints one. */
  forget(): void {
    this.session = undefined;
    this.minting = undefined;
  }

  private async token(): Promise<string> {
    if (this.session && performance.now() < this.session.refreshAt) return this.session.token;
    const minting = (this.minting ??= this.mint());
    try {
      const session = await minting;
      if (this.minting === minting) this.session = session;
      return session.token;
    } finally {
      if (this.minting === minting) this.minting = undefined;
    }
  }

  private async mint(): Promise<Session> {
    let res: Response;
    try {
      res = await fetch(this.base + "session", {
        method: "POST", credentials: "same-origin", headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(callTimeout),
      });
    } catch (err) {
      throw new ConnectError("session endpoint not reached", Code.Unavailable, undefined, undefined, err);
    }
    if (res.status === 401) throw new LoginRequired();
    if (!res.ok) throw new ConnectError(`session endpoint answered ${res.status}`, res.status === 503 ? Code.Unavailable : Code.Unknown);
    const { token, expiresAt } = (await res.json()) as { token: string; expiresAt: string };
    // The browser's clock may be wrong: the lifetime is counted from the server's Date.
    const served = Date.parse(res.headers.get("Date") ?? "") || Date.now();
    const lifetime = Date.parse(expiresAt) - served;
    return { token, refreshAt: performance.now() + Math.max(lifetime - refreshBefore, 5_000) };
  }
}

/** Nobody is logged in to the portal. */
export class LoginRequired extends Error {
  constructor() {
    super("login required");
  }
}

/** Problem is an error as an element shows it. */
export interface Problem {
  /** What people read, in their language. */
  text: string;
  /** The sidecar's own words for it, where it has some. */
  cause: string;
  reason: string;
  /** Path of the field at fault: items[0].inputs.plan. */
  field: string;
  login: boolean;
  /** The call may or may not have had its effect. */
  unknown: boolean;
  /** The same call may go well in a little while. */
  retry: boolean;
}

/** Explains an error of a call. */
export function explain(locale: Locale, error: unknown): Problem {
  const problem: Problem = { text: locale.t("error.unexpected"), cause: "", reason: "", field: "", login: false, unknown: false, retry: false };
  const cause = error instanceof ConnectError ? error.cause : undefined;
  if (error instanceof LoginRequired || cause instanceof LoginRequired) {
    return { ...problem, text: locale.t("error.login"), login: true };
  }
  const err = ConnectError.from(error);
  const info = err.findDetails(ErrorInfoSchema)[0];
  problem.reason = info?.reason ?? "";
  problem.field = info?.field ?? "";
  problem.cause = info ? [info.cause, info.action].filter(Boolean).join(" ") : "";
  switch (err.code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Canceled:
    case Code.Unknown:
    case Code.Aborted:
      // Connect-web reports a failed fetch as unknown.
      problem.text = locale.t(unreached(err) ? "error.network" : "error.unavailable");
      problem.unknown = problem.retry = true;
      break;
    case Code.Unauthenticated:
      problem.text = locale.t("error.login");
      problem.login = true;
      break;
    case Code.NotFound:
      problem.text = locale.t("error.notFound");
      break;
    case Code.PermissionDenied:
      problem.text = locale.t("error.denied");
      break;
    case Code.ResourceExhausted:
      problem.text = locale.t("error.tooMany");
      problem.retry = true;
      break;
    case Code.AlreadyExists:
      problem.text = locale.t("error.conflict");
      break;
    case Code.InvalidArgument:
    case Code.FailedPrecondition:
      // Which of many things is wrong only the sidecar can say, and it speaks English.
      problem.text = locale.english && problem.cause ? problem.cause : locale.t("error.invalid");
      break;
    default:
      problem.retry = true;
  }
  problem.text = locale.maybe(`error.reason.${problem.reason}`) ?? problem.text;
  return problem;
}

/** The call did not get as far as a server. */
function unreached(err: ConnectError): boolean {
  return err.cause instanceof TypeError || (err.cause instanceof ConnectError && unreached(err.cause));
}

/** What stands beside a field that the sidecar refused: its own words are English, so that other pages say it in theirs. */
export function atField(locale: Locale, problem: Problem): string {
  return locale.english && problem.cause ? problem.cause : problem.text;
}
