import { HanseCatalog } from "./catalog.js";
import { HanseCheckout } from "./checkout.js";
import { HanseOffering } from "./offering.js";
import { HanseOrderStatus } from "./order-status.js";
import { HanseSubscriptions } from "./subscriptions.js";

const elements = {
  "hanse-catalog": HanseCatalog,
  "hanse-offering": HanseOffering,
  "hanse-checkout": HanseCheckout,
  "hanse-order-status": HanseOrderStatus,
  "hanse-subscriptions": HanseSubscriptions,
};

for (const [name, element] of Object.entries(elements)) {
  // A page may load the module twice, under two addresses.
  if (!customElements.get(name)) customElements.define(name, element);
}

export { HanseCatalog, HanseCheckout, HanseOffering, HanseOrderStatus, HanseSubscriptions };
