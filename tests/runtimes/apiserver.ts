/**
 * What the DaemonSet's script asks of a Kubernetes API server, over TLS with a token: the file FOLDER/<path> for a
 * GET of <path>. Arguments: FOLDER, PORT; FOLDER holds tls.crt, tls.key and token.server.
 */
const [folder = "", port = ""] = Deno.args;

Deno.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  cert: await Deno.readTextFile(`${folder}/tls.crt`),
  key: await Deno.readTextFile(`${folder}/tls.key`),
  onListen: () => {},
}, async (request) => {
  const token = (await Deno.readTextFile(`${folder}/token.server`)).trim();
  if (request.headers.get("authorization") !== `Bearer ${token}`) {
    return new Response("{}", { status: 401 });
  }
  try {
    return new Response(await Deno.readTextFile(`${folder}${new URL(request.url).pathname}`));
  } catch {
    return new Response("{}", { status: 404 });
  }
});
