/**
 * Numbers of DHCP (RFC 2131, RFC 2132 and those named beside them).
 */

/** Where servers and relay agents listen. */
export const DHCP_SERVER_PORT = 67;
/** Where clients listen. */
export const DHCP_CLIENT_PORT = 68;

/** RFC 2132 9.6 */
export const DhcpMessageTypes = { DISCOVER: 1, OFFER: 2, REQUEST: 3, DECLINE: 4, ACK: 5, NAK: 6, RELEASE: 7, INFORM: 8 } as const;

/** Options by their names. */
export const DhcpOptions = {
  SUBNET_MASK: 1,
  ROUTER: 3,
  DNS_SERVERS: 6,
  HOSTNAME: 12,
  DOMAIN_NAME: 15,
  /** RFC 2132 5.1 */
  INTERFACE_MTU: 26,
  BROADCAST_ADDRESS: 28,
  NTP_SERVERS: 42,
  LEASE_TIME: 51,
  /** Whether the fields for names hold options too. */
  OVERLOAD: 52,
  MESSAGE_TYPE: 53,
  SERVER_IDENTIFIER: 54,
  PARAMETER_REQUEST_LIST: 55,
  MAXIMUM_MESSAGE_SIZE: 57,
  RENEWAL_TIME: 58,
  REBINDING_TIME: 59,
  VENDOR_CLASS: 60,
  /** RFC 3046 */
  RELAY_AGENT: 82,
  /** RFC 3397 */
  DOMAIN_SEARCH: 119,
  /** RFC 3442 */
  CLASSLESS_ROUTES: 121,
  END: 255,
} as const;

/** Options that tell one client, or its server, from another. */
export const DhcpOptionCodes = { REQUESTED_IP: 50, CLIENT_ID: 61, SERVER_ID: 54 } as const;

/** Name of a message's type. */
export type DhcpMessageType = keyof typeof DhcpMessageTypes;
/** Name of an option. */
export type DhcpOption = keyof typeof DhcpOptions;

/** An expiry that never comes (RFC 2131 3.3). */
export const INFINITE_SECONDS = 0xffffffff;
