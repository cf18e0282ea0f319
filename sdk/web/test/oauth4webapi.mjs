// A foreign OAuth client against a running sidecar: discovery (RFC 8414), client_credentials with private_key_jwt and DPoP,
// and the access token checked by the foreign resource-server code (RFC 9068, RFC 9449).
//
// usage: node oauth4webapi.mjs ISSUER OWN_ORIGIN CERT_FILE KEY_FILE CA_FILE
import * as oauth from "oauth4webapi";
import { readFileSync } from "node:fs";
import https from "node:https";

const [issuerURL, ownOrigin, certFile, keyFile, caFile] = process.argv.slice(2);
const issuer = new URL(issuerURL);
const ca = readFileSync(caFile);
const loopback = (_host, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);

// NAME.localhost does not resolve everywhere, so the client brings its own fetch.
const customFetch = (url, { method = "GET", headers = {}, body } = {}) =>
  new Promise((resolve, reject) => {
    const flat = Object.fromEntries(new Headers(headers));
    const payload = body === undefined || body === null ? undefined : String(body);
    const request = https.request(url, { method, headers: flat, ca, lookup: loopback }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () =>
        resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode, headers: answer.headers })),
      );
    });
    request.on("error", reject);
    request.end(payload);
  });
const options = { [oauth.customFetch]: customFetch };

const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
const jwk = await crypto.subtle.exportKey("jwk", pair.publicKey);
const required = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y });
const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(required));
const kid = Buffer.from(digest).toString("base64url");

// The client's own metadata document and keys, as any member publishes them.
const clientId = `${ownOrigin}/oauth2/client.json`;
const documents = {
  "/oauth2/client.json": {
    client_id: clientId,
    client_name: "foreign client",
    client_uri: ownOrigin,
    jwks_uri: `${ownOrigin}/oauth2/client-jwks.json`,
    grant_types: ["client_credentials"],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
    dpop_bound_access_tokens: true,
  },
  "/oauth2/client-jwks.json": {
    keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, kid, alg: "ES256", use: "sig" }],
  },
};
const server = https.createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (request, answer) => {
  const document = documents[request.url];
  answer.writeHead(document ? 200 : 404, { "content-type": "application/json" });
  answer.end(JSON.stringify(document ?? {}));
});
await new Promise((ready) => server.listen(Number(new URL(ownOrigin).port), "127.0.0.1", ready));

try {
  const as = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...options }),
  );
  const client = { client_id: clientId };
  const dpopPair = await oauth.generateKeyPair("ES256");
  const DPoP = oauth.DPoP(client, dpopPair);
  const authenticate = oauth.PrivateKeyJwt(
    { key: pair.privateKey, kid },
    { [oauth.modifyAssertion]: (header) => { header.typ = "client-authentication+jwt"; } },
  );
  const token = await oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(as, client, authenticate, { scope: "peering:request" }, { DPoP, ...options }),
  );
  if (token.token_type !== "dpop") throw new Error(`token_type is ${token.token_type}`);

  const url = `${issuer.origin}/hanse.peer.v1.PeeringService/Propose`;
  const headers = new Headers({ authorization: `DPoP ${token.access_token}` });
  await DPoP.addProof(new URL(url), headers, "POST", token.access_token);
  const claims = await oauth.validateJwtAccessToken(as, new Request(url, { method: "POST", headers }), issuer.origin, {
    requireDPoP: true,
    ...options,
  });
  if (claims.client_id !== clientId || claims.scope !== "peering:request") throw new Error(JSON.stringify(claims));

  // The sidecar accepts the bound token: what it refuses is the document, not the caller.
  const answer = await oauth.protectedResourceRequest(
    token.access_token,
    "POST",
    new URL(url),
    new Headers({ "content-type": "application/json" }),
    JSON.stringify({ document: "not a document" }),
    { DPoP, ...options },
  );
  const refused = await answer.json();
  if (answer.status === 401 || answer.status === 403) throw new Error(`refused: ${answer.status} ${JSON.stringify(refused)}`);

  console.log(JSON.stringify({
    issuer: as.issuer,
    token_type: token.token_type,
    expires_in: token.expires_in,
    scope: claims.scope,
    cnf: typeof claims.cnf?.jkt,
    call: answer.status,
  }));
} finally {
  server.close();
  server.closeAllConnections();
}
