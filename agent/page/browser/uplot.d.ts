/** The charts' package, as the agent serves it beside these modules. */
import uPlot from 'uplot';
export default uPlot;
