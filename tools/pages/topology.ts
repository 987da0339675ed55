/** Prints docs/topology.svg: two containers, their bridge, and the network outside the host. */

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** The kind of box, which determines its colour. */
  readonly kind: "host" | "container" | "ours" | "theirs";
  /** The first line is the heading. */
  readonly lines: readonly string[];
}

const BOXES: readonly Box[] = [
  { x: 12, y: 12, width: 560, height: 296, kind: "host", lines: ["the host"] },
  {
    ...{ x: 32, y: 48, width: 160, height: 100, kind: "container" },
    lines: ["container web", "eth0", "10.86.0.2", "fd00:10:86::2"],
  },
  {
    ...{ x: 212, y: 48, width: 160, height: 100, kind: "container" },
    lines: ["container db", "eth0", "10.86.0.3", "fd00:10:86::3"],
  },
  {
    ...{ x: 32, y: 208, width: 340, height: 76, kind: "ours" },
    lines: ["bridge atomic0", "10.86.0.1 and fd00:10:86::1", "the containers' gateways"],
  },
  {
    ...{ x: 432, y: 208, width: 120, height: 76, kind: "theirs" },
    lines: ["uplink eth0", "forwarding,", "masquerading"],
  },
  {
    ...{ x: 612, y: 208, width: 96, height: 76, kind: "theirs" },
    lines: ["internet", "other", "nodes"],
  },
];

interface Wire {
  readonly from: readonly [x: number, y: number];
  readonly to: readonly [x: number, y: number];
  readonly kind: "ours" | "theirs";
  readonly name?: string;
}

const WIRES: readonly Wire[] = [
  { from: [112, 148], to: [112, 208], kind: "ours", name: "veth av11a59a5598ed2" },
  { from: [292, 148], to: [292, 208], kind: "ours", name: "veth aveaab3db8e09fd" },
  { from: [372, 246], to: [432, 246], kind: "theirs" },
  { from: [552, 246], to: [612, 246], kind: "theirs" },
];

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .heading { font-weight: 600; }
  .name { font: 11px ui-monospace, monospace; }
  rect { stroke-width: 1.5; }
  .host { fill: none; stroke: #8c959f; stroke-dasharray: 6 4; }
  .container { fill: #f6f8fa; stroke: #57606a; }
  .ours { fill: #ddf4ff; stroke: #0969da; }
  .theirs { fill: #fff8c5; stroke: #9a6700; }
  line { stroke-width: 2.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .host { stroke: #6e7681; }
    .container { fill: #161b22; stroke: #8b949e; }
    .ours { fill: #0c2d6b; stroke: #58a6ff; }
    .theirs { fill: #3b2300; stroke: #d29922; }
  }
`;

function drawBox({ x, y, width, height, kind, lines }: Box): string {
  const texts = lines.map((line, index) =>
    `  <text${index === 0 ? ' class="heading"' : ""} x="${x + 12}" y="${
      y + 22 + index * 20
    }">${line}</text>`
  );
  const rect =
    `  <rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="8" />`;
  return [rect, ...texts].join("\n");
}

function drawWire({ from, to, kind, name }: Wire): string {
  const [[x1, y1], [x2, y2]] = [from, to];
  const line = `  <line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" />`;
  if (name === undefined) return line;
  return `${line}\n  <text class="name" x="${x1 + 8}" y="${(y1 + y2) / 2 + 4}">${name}</text>`;
}

/** The content of docs/topology.svg. */
export function topology(): string {
  const width = 720;
  const height = 348;
  const legend = [
    ["ours", 32, "made by AtomicNI"],
    ["theirs", 212, "the host's own: files in deploy/"],
  ].map(([kind, x, text]) =>
    `  <rect class="${kind}" x="${x}" y="322" width="14" height="14" rx="3" />\n` +
    `  <text x="${Number(x) + 22}" y="334">${text}</text>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    "  <title>Two containers on one host: each has a veth into the bridge, which is their gateway</title>",
    `  <style>${STYLE}  </style>`,
    ...WIRES.map(drawWire),
    ...BOXES.map(drawBox),
    ...legend,
    "</svg>",
    "",
  ].join("\n");
}

if (import.meta.main) await Deno.stdout.write(new TextEncoder().encode(topology()));
