// HTTPS of guests by the page's fetch: a Linux guest's wget, which does not look at certificates, and a guest that trusts an authority and
// goes on doing so after the page was loaded anew.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Guest, nics } from "../guest.mjs";
import { noise, sha256 } from "../servers.mjs";
import { secured } from "./secure.mjs";
import { ours } from "./subjects.mjs";

const { attachNetwork } = await import("../../../packages/netloom/dist/v86/index.js");
const { createCertificateAuthority } = await import("../../../packages/netloom/dist/tls/index.js");
const body = noise((process.env.NETLOOM_FULL ? 16 : 1) << 20);

for (const nic of nics) {
  test(`a Linux guest on ${nic} fetches https:`, { timeout: 300_000 }, async (context) => {
    const authority = await createCertificateAuthority();
    const asked = [];
    const fetch = async (url, { method, body: sent }) => {
      asked.push(`${method} ${url}`);
      return sent ? new Response(sha256(Buffer.from(await new Response(sent).arrayBuffer()))) : new Response(body);
    };
    const guest = await Guest.restore(nic, undefined, (emulator) => attachNetwork(emulator, "fetch", { tls: authority, fetch }));
    context.after(() => guest.destroy());
    await guest.lease();
    await guest.must("wget -q -O /tmp/ca.pem http://mitm.it/ca.pem");
    assert.equal((await guest.must("sha256sum </tmp/ca.pem")).split(" ")[0], sha256(Buffer.from(authority.certificate)));
    await guest.must("wget -q -O /tmp/body https://web.test/body");
    assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(body));
    // Text: this wget posts files up to their first zero.
    await guest.must("base64 /tmp/body >/tmp/text");
    const [sum] = (await guest.must("sha256sum </tmp/text")).split(" ");
    assert.match(await guest.must("wget -q -O - --post-file=/tmp/text https://web.test/take"), new RegExp(sum));
    assert.deepEqual(asked, ["GET https://web.test/body", "POST https://web.test/take"]);
  });
}

describe("an authority", () => {
  /** A page, and a connection of its guest to port 443. */
  async function loaded(context, tls) {
    const subject = await ours({ relay_url: "fetch" }, { tls });
    context.after(() => subject.close());
    subject.network.fetch = async (url) => new Response(`answer to ${url}`);
    return { ...subject, connect: () => subject.guest().connect("192.168.87.1", 443) };
  }

  test("that was kept is trusted after the page was loaded anew", async (context) => {
    const before = await createCertificateAuthority();
    const after = createCertificateAuthority({ pem: before.toPem() });
    const { connect } = await loaded(context, after);
    const guest = await secured(await connect(), { servername: "web.test", ca: before.certificate });
    guest.socket.write("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n");
    await guest.untilText(/answer to https:\/\/web\.test\//);
    guest.socket.destroy();
  });

  test("of another page is not", async (context) => {
    const other = await createCertificateAuthority();
    const { connect } = await loaded(context, true);
    await assert.rejects(secured(await connect(), { servername: "web.test", ca: other.certificate }), /certificate/);
  });

  test("of the page itself survives a change of network", async (context) => {
    const { network, guest, connect } = await loaded(context, true);
    const card = guest();
    const page = await card.connect("192.168.87.1", 80);
    page.write("GET /ca.pem HTTP/1.1\r\nHost: mitm.it\r\nConnection: close\r\n\r\n");
    await page.untilFinished();
    const ca = page.text().slice(page.text().indexOf("-----BEGIN"));
    await network.switchTo("none");
    await network.switchTo("fetch");
    const end = await secured(await connect(), { servername: "web.test", ca });
    assert.equal(end.socket.authorized, true);
    end.socket.destroy();
  });

  test("is not asked for where the page wants none: port 443 is refused", async (context) => {
    const { connect } = await loaded(context, undefined);
    await assert.rejects(connect(), /is refused/);
  });
});
