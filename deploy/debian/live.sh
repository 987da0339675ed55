# live: prints the host veths of attached containers, one per line
live() {
  ip -o link show type veth 2>/dev/null | sed -n 's/^[0-9]*: \(av[0-9a-f]\{13\}\)[@:].*/\1/p'
}
